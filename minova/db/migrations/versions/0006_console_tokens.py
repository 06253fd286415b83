# SPDX-License-Identifier: Apache-2.0
"""The tokens by which the screens of guests are reached."""

from alembic import op
import sqlalchemy as sa

from minova.db import types

revision = '0006'
down_revision = '0005'


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        'console_tokens',
        sa.Column(
            'id',
            sa.BigInteger().with_variant(sa.Integer(), 'sqlite'),
            nullable=False,
        ),
        sa.Column('token_hash', sa.String(length=64), nullable=False),
        sa.Column('instance_uuid', sa.String(length=36), nullable=False),
        sa.Column('console_type', sa.String(length=32), nullable=False),
        sa.Column('created_at', types.Moment(), nullable=False),
        sa.Column('expires_at', types.Moment(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_console_tokens')),
        sa.UniqueConstraint(
            'token_hash', name=op.f('uq_console_tokens_token_hash')
        ),
        sqlite_autoincrement=True,
    )
    for column in ('instance_uuid', 'expires_at'):
        op.create_index(
            op.f(f'ix_console_tokens_{column}'),
            'console_tokens',
            [column],
            unique=False,
        )
