# SPDX-License-Identifier: Apache-2.0
"""Networks, and the addresses in them that instances have."""

from alembic import op
import sqlalchemy as sa

from minova.db import types

revision = '0004'
down_revision = '0003'


def upgrade() -> None:
    """Make their tables; a release that does not know them uses none."""
    op.create_table(
        'networks',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('project_id', sa.String(length=255), nullable=True),
        sa.Column('kind', sa.String(length=32), nullable=False),
        sa.Column('device', sa.String(length=255), nullable=False),
        sa.Column('cidr', sa.String(length=49), nullable=False),
        sa.Column('gateway', sa.String(length=45), nullable=True),
        sa.Column('dns', types.Json(), nullable=False),
        sa.Column('mtu', sa.Integer(), nullable=True),
        sa.Column('pool_first', sa.String(length=45), nullable=False),
        sa.Column('pool_last', sa.String(length=45), nullable=False),
        sa.Column('created_at', types.Moment(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_networks')),
        sa.UniqueConstraint('name', name=op.f('uq_networks_name')),
    )
    op.create_table(
        'ports',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('network_id', sa.String(length=36), nullable=False),
        sa.Column('instance_uuid', sa.String(length=36), nullable=False),
        sa.Column('address', sa.String(length=45), nullable=False),
        sa.Column('mac', sa.String(length=17), nullable=False),
        sa.Column('created_at', types.Moment(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_ports')),
        sa.UniqueConstraint('mac', name=op.f('uq_ports_mac')),
        sa.UniqueConstraint(
            'network_id', 'address', name=op.f('uq_ports_network_id_address')
        ),
    )
    op.create_index(op.f('ix_ports_instance_uuid'), 'ports', ['instance_uuid'])
