# SPDX-License-Identifier: Apache-2.0
"""The key pairs of users."""

from alembic import op
import sqlalchemy as sa

from minova.db import types

revision = '0005'
down_revision = '0004'


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        'key_pairs',
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('user_id', sa.String(length=255), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('type', sa.String(length=32), nullable=False),
        sa.Column('public_key', sa.Text(), nullable=False),
        sa.Column('fingerprint', sa.String(length=255), nullable=False),
        sa.Column('created_at', types.Moment(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_key_pairs')),
        sa.UniqueConstraint(
            'user_id', 'name', name=op.f('uq_key_pairs_user_id_name')
        ),
        sqlite_autoincrement=True,
    )
