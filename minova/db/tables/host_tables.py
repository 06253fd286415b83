# SPDX-License-Identifier: Apache-2.0
"""Services, hosts and the claims of instances on them."""

import sqlalchemy as sa

from minova.db import types
from minova.db.tables.base import Id
from minova.db.tables.base import Keyword
from minova.db.tables.base import metadata
from minova.db.tables.base import Name

services = sa.Table(
    'services',
    metadata,
    sa.Column('id', sa.Integer, primary_key=True),
    sa.Column('uuid', Id, nullable=False, unique=True),
    sa.Column('binary', Keyword, nullable=False),
    sa.Column('host', Name, nullable=False),
    sa.Column('incarnation', Id, nullable=False),
    sa.Column('version', sa.String(64), nullable=False),
    sa.Column('disabled', sa.Boolean, nullable=False),
    sa.Column('disabled_reason', Name),
    sa.Column('forced_down', sa.Boolean, nullable=False),
    sa.Column('hypervisor_error', Name),
    # Of a compute whose host was fenced and has not registered since.
    sa.Column('fenced_at', types.UtcDateTime),
    sa.Column('fence_agent', Name),
    sa.Column('fence_output', Name),
    sa.Column('started_at', types.UtcDateTime, nullable=False),
    sa.Column('last_seen_at', types.UtcDateTime, nullable=False),
    sa.UniqueConstraint('binary', 'host'),
    sqlite_autoincrement=True,
)

hosts = sa.Table(
    'hosts',
    metadata,
    sa.Column('id', sa.Integer, primary_key=True),
    sa.Column('uuid', Id, nullable=False, unique=True),
    sa.Column('host', Name, nullable=False, unique=True),
    sa.Column('address', Name, nullable=False),
    # The zone in effect: of an aggregate, else the configured one.
    sa.Column('availability_zone', Name, nullable=False),
    sa.Column('configured_zone', Name, nullable=False),
    sa.Column('hypervisor_hostname', Name, nullable=False),
    sa.Column('hypervisor_type', Keyword, nullable=False),
    sa.Column('hypervisor_version', sa.Integer, nullable=False),
    sa.Column('cpu_info', types.Json, nullable=False),
    sa.Column('supported_instances', types.Json, nullable=False),
    sa.Column('traits', types.Json, nullable=False),
    sa.Column('numa_cells', types.Json, nullable=False),
    sa.Column('vcpus', sa.Integer, nullable=False),
    sa.Column('pcpus', sa.Integer, nullable=False),
    sa.Column('memory_mb', sa.Integer, nullable=False),
    sa.Column('disk_gb', sa.Integer, nullable=False),
    sa.Column('reserved_memory_mb', sa.Integer, nullable=False),
    sa.Column('reserved_disk_gb', sa.Integer, nullable=False),
    sa.Column('cpu_allocation_ratio', sa.Double, nullable=False),
    sa.Column('ram_allocation_ratio', sa.Double, nullable=False),
    sa.Column('disk_allocation_ratio', sa.Double, nullable=False),
    sa.Column('vcpus_used', sa.Integer, nullable=False),
    sa.Column('pcpus_used', sa.Integer, nullable=False),
    sa.Column('memory_mb_used', sa.Integer, nullable=False),
    sa.Column('disk_gb_used', sa.Integer, nullable=False),
    sa.Column('created_at', types.UtcDateTime, nullable=False),
    sa.Column('updated_at', types.UtcDateTime),
    sqlite_autoincrement=True,
)

allocations = sa.Table(
    'allocations',
    metadata,
    sa.Column('id', types.Serial, primary_key=True),
    sa.Column('host', Name, nullable=False),
    sa.Column('instance_uuid', Id, nullable=False),
    # The instance itself, or the operation that migrates or cleans it up.
    sa.Column('consumer', Id, nullable=False),
    sa.Column('vcpus', sa.Integer, nullable=False),
    sa.Column('memory_mb', sa.Integer, nullable=False),
    sa.Column('disk_gb', sa.Integer, nullable=False),
    sa.Column('pcpus', sa.Integer, nullable=False),
    # The cells and CPUs of the guest; NULL for a guest of any cell.
    sa.Column('placement', types.Json),
    sa.Column('created_at', types.UtcDateTime, nullable=False),
    sa.UniqueConstraint('instance_uuid', 'host', 'consumer'),
    sa.Index(None, 'host'),
    sqlite_autoincrement=True,
)

leases = sa.Table(
    'leases',
    metadata,
    sa.Column('name', sa.String(64), primary_key=True),
    sa.Column('holder', Name, nullable=False),
    sa.Column('expires_at', types.UtcDateTime, nullable=False),
)
