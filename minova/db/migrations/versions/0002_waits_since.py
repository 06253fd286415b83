# SPDX-License-Identifier: Apache-2.0
"""Since when an operation waits, and how eventful it was."""

from alembic import op
import sqlalchemy as sa

from minova.db import types

revision = '0002'
down_revision = '0001'


def upgrade() -> None:
    """Add them; a release that does not know them leaves them empty."""
    op.add_column(
        'operations', sa.Column('waits_since', types.Moment(), nullable=True)
    )
    op.add_column(
        'operations',
        sa.Column(
            'incidents', sa.Integer(), nullable=False, server_default='0'
        ),
    )
