# SPDX-License-Identifier: Apache-2.0
"""Networks and the ports of instances."""

import sqlalchemy as sa

from minova.db import types
from minova.db.tables.base import Id
from minova.db.tables.base import Keyword
from minova.db.tables.base import metadata
from minova.db.tables.base import Name

networks = sa.Table(
    'networks',
    metadata,
    sa.Column('id', Id, primary_key=True),
    sa.Column('name', Name, nullable=False, unique=True),
    # The only project that may use it; NULL: every project.
    sa.Column('project_id', Name),
    sa.Column('kind', Keyword, nullable=False),
    # Its name on the hosts: of a bridge or of a libvirt network.
    sa.Column('device', Name, nullable=False),
    sa.Column('cidr', sa.String(49), nullable=False),
    sa.Column('gateway', sa.String(45)),
    sa.Column('dns', types.Json, nullable=False),
    sa.Column('mtu', sa.Integer),
    # Whether the hosts filter what guests send.
    sa.Column('port_security_enabled', sa.Boolean, nullable=False),
    sa.Column('pool_first', sa.String(45), nullable=False),
    sa.Column('pool_last', sa.String(45), nullable=False),
    sa.Column('created_at', types.UtcDateTime, nullable=False),
)

ports = sa.Table(
    'ports',
    metadata,
    sa.Column('id', Id, primary_key=True),
    sa.Column('network_id', Id, nullable=False),
    sa.Column('instance_uuid', Id, nullable=False),
    # That of the instance, for the usage of quotas.
    sa.Column('project_id', Name, nullable=False),
    sa.Column('address', sa.String(45), nullable=False),
    sa.Column('mac', sa.String(17), nullable=False, unique=True),
    sa.Column('created_at', types.UtcDateTime, nullable=False),
    # The last guard against an address with two owners.
    sa.UniqueConstraint('network_id', 'address'),
    sa.Index(None, 'instance_uuid'),
    sa.Index(None, 'project_id', 'network_id'),
)
