# SPDX-License-Identifier: Apache-2.0
"""The tables. The object of the same name documents the columns.

A value has its own column when a query filters, sorts or fences by it, or
shows it in a list; all other values are in a JSON column of the row.
"""

import sqlalchemy as sa

from minova.db import types

metadata = sa.MetaData(
    naming_convention={
        'ix': 'ix_%(table_name)s_%(column_0_N_name)s',
        'uq': 'uq_%(table_name)s_%(column_0_N_name)s',
        'pk': 'pk_%(table_name)s',
    }
)

_Id = sa.String(36)
_Name = sa.String(255)
_Keyword = sa.String(32)

instances = sa.Table(
    'instances',
    metadata,
    sa.Column('id', sa.Integer, primary_key=True),
    sa.Column('uuid', _Id, nullable=False, unique=True),
    sa.Column('project_id', _Name, nullable=False),
    sa.Column('user_id', _Name, nullable=False),
    sa.Column('display_name', _Name, nullable=False),
    sa.Column('display_description', _Name),
    sa.Column('hostname', _Name, nullable=False),
    sa.Column('reservation_id', _Name, nullable=False),
    sa.Column('launch_index', sa.Integer, nullable=False),
    sa.Column('host', _Name),
    sa.Column('node', _Name),
    sa.Column('availability_zone', _Name),
    sa.Column('request_spec', types.VersionedObject, nullable=False),
    sa.Column('vm_state', _Keyword, nullable=False),
    sa.Column('task_state', _Keyword),
    sa.Column('power_state', sa.Integer, nullable=False),
    sa.Column('task_id', _Id),
    sa.Column('generation', sa.Integer, nullable=False),
    sa.Column('notification_seq', sa.Integer, nullable=False),
    sa.Column('progress', sa.Integer),
    sa.Column('flavor_id', sa.Integer, nullable=False),
    sa.Column('flavor', types.Json, nullable=False),
    # Those of the flavor, for the usage of quotas.
    sa.Column('vcpus', sa.Integer, nullable=False),
    sa.Column('memory_mb', sa.Integer, nullable=False),
    sa.Column('image_ref', _Name, nullable=False),
    sa.Column('image_meta', types.Json, nullable=False),
    sa.Column('architecture', _Keyword),
    sa.Column('os_type', _Name),
    sa.Column('kernel_id', _Name, nullable=False),
    sa.Column('ramdisk_id', _Name, nullable=False),
    sa.Column('root_device_name', _Name),
    sa.Column('metadata', types.Json, nullable=False),
    sa.Column('network_info', types.Json, nullable=False),
    sa.Column('key_name', _Name),
    sa.Column('key_data', sa.Text),
    sa.Column('user_data', sa.Text),
    sa.Column('config_drive', sa.Boolean, nullable=False),
    sa.Column('auto_disk_config', sa.Boolean, nullable=False),
    sa.Column('locked', sa.Boolean, nullable=False),
    sa.Column('locked_by', _Keyword),
    sa.Column('locked_reason', _Name),
    sa.Column('shutdown_terminate', sa.Boolean, nullable=False),
    sa.Column('access_ip_v4', sa.String(45)),
    sa.Column('access_ip_v6', sa.String(45)),
    sa.Column('created_at', types.UtcDateTime, nullable=False),
    sa.Column('updated_at', types.UtcDateTime),
    sa.Column('launched_at', types.UtcDateTime),
    sa.Column('terminated_at', types.UtcDateTime),
    sa.Column('deleted_at', types.UtcDateTime),
    # The usage of a project is read from this index alone.
    sa.Index(None, 'project_id', 'vm_state', 'vcpus', 'memory_mb'),
    sa.Index(None, 'host', 'vm_state'),
    sa.Index(None, 'created_at', 'id'),
    sa.Index(None, 'task_id'),
    sqlite_autoincrement=True,
)

instance_tags = sa.Table(
    'instance_tags',
    metadata,
    sa.Column('instance_uuid', _Id, primary_key=True),
    sa.Column('tag', types.ExactString(60), primary_key=True),
    sa.Index(None, 'tag'),
)

operations = sa.Table(
    'operations',
    metadata,
    sa.Column('id', _Id, primary_key=True),
    sa.Column('instance_uuid', _Id, nullable=False),
    sa.Column('kind', _Keyword, nullable=False),
    sa.Column('generation', sa.Integer, nullable=False),
    sa.Column('state', _Keyword, nullable=False),
    sa.Column('owns_instance', sa.Boolean, nullable=False),
    sa.Column('outcome', _Keyword),
    sa.Column('unwinding', sa.Boolean, nullable=False),
    sa.Column('old_vm_state', _Keyword, nullable=False),
    sa.Column('open_step_count', sa.Integer, nullable=False),
    sa.Column('request_id', _Name, nullable=False),
    sa.Column('user_id', _Name),
    sa.Column('project_id', _Name),
    sa.Column('context', types.Json, nullable=False),
    sa.Column('params', types.VersionedObject, nullable=False),
    sa.Column('error', types.Json),
    sa.Column('wait_reason', sa.Text),
    sa.Column('waiting_since', types.UtcDateTime),
    sa.Column('incidents', sa.Integer, nullable=False, server_default='0'),
    sa.Column('deadline', types.UtcDateTime, nullable=False),
    sa.Column('started_at', types.UtcDateTime, nullable=False),
    sa.Column('updated_at', types.UtcDateTime, nullable=False),
    sa.Column('finished_at', types.UtcDateTime),
    sa.Index(None, 'instance_uuid', 'started_at'),
    sa.Index(None, 'state', 'deadline'),
)

steps = sa.Table(
    'steps',
    metadata,
    sa.Column('id', _Id, primary_key=True),
    sa.Column('operation_id', _Id, nullable=False),
    sa.Column('instance_uuid', _Id, nullable=False),
    sa.Column('number', sa.Integer, nullable=False),
    sa.Column('method', sa.String(64), nullable=False),
    sa.Column('topic', _Keyword, nullable=False),
    sa.Column('host', _Name),
    sa.Column('args', types.VersionedObject, nullable=False),
    sa.Column('state', _Keyword, nullable=False),
    sa.Column('undoes', _Id),
    sa.Column('nested', sa.Boolean, nullable=False),
    sa.Column('detached', sa.Boolean, nullable=False),
    sa.Column('incarnation', _Id),
    sa.Column('checkpoints', types.VersionedObject, nullable=False),
    sa.Column('open_events', types.Json, nullable=False),
    sa.Column('attempts', sa.Integer, nullable=False),
    sa.Column('result', types.VersionedObject),
    sa.Column('error', types.Json),
    sa.Column('not_before', types.UtcDateTime),
    sa.Column('created_at', types.UtcDateTime, nullable=False),
    sa.Column('started_at', types.UtcDateTime),
    sa.Column('finished_at', types.UtcDateTime),
    sa.UniqueConstraint('operation_id', 'number'),
    sa.Index(None, 'instance_uuid'),
    sa.Index(None, 'state', 'topic', 'host'),
)

outbox = sa.Table(
    'outbox',
    metadata,
    sa.Column('id', types.Serial, primary_key=True),
    sa.Column('instance_uuid', _Id, nullable=False),
    sa.Column('seq', sa.Integer, nullable=False),
    sa.Column('message_id', _Id, nullable=False),
    sa.Column('operation_id', _Id),
    sa.Column('event_type', sa.String(128), nullable=False),
    sa.Column('publisher_id', _Name, nullable=False),
    sa.Column('priority', _Keyword, nullable=False),
    sa.Column('payload', types.Json, nullable=False),
    sa.Column('context', types.Json, nullable=False),
    sa.Column('created_at', types.UtcDateTime, nullable=False),
    sa.Column('published_at', types.UtcDateTime),
    sa.UniqueConstraint('instance_uuid', 'seq'),
    sa.Index(None, 'published_at', 'id'),
    sqlite_autoincrement=True,
)

services = sa.Table(
    'services',
    metadata,
    sa.Column('id', sa.Integer, primary_key=True),
    sa.Column('uuid', _Id, nullable=False, unique=True),
    sa.Column('binary', _Keyword, nullable=False),
    sa.Column('host', _Name, nullable=False),
    sa.Column('incarnation', _Id, nullable=False),
    sa.Column('version', sa.String(64), nullable=False),
    sa.Column('disabled', sa.Boolean, nullable=False),
    sa.Column('disabled_reason', _Name),
    sa.Column('forced_down', sa.Boolean, nullable=False),
    sa.Column('hypervisor_error', _Name),
    sa.Column('started_at', types.UtcDateTime, nullable=False),
    sa.Column('last_seen_at', types.UtcDateTime, nullable=False),
    sa.UniqueConstraint('binary', 'host'),
    sqlite_autoincrement=True,
)

hosts = sa.Table(
    'hosts',
    metadata,
    sa.Column('id', sa.Integer, primary_key=True),
    sa.Column('uuid', _Id, nullable=False, unique=True),
    sa.Column('host', _Name, nullable=False, unique=True),
    sa.Column('address', _Name, nullable=False),
    sa.Column('availability_zone', _Name, nullable=False),
    sa.Column('hypervisor_hostname', _Name, nullable=False),
    sa.Column('hypervisor_type', _Keyword, nullable=False),
    sa.Column('hypervisor_version', sa.Integer, nullable=False),
    sa.Column('cpu_info', types.Json, nullable=False),
    sa.Column('supported_instances', types.Json, nullable=False),
    sa.Column('vcpus', sa.Integer, nullable=False),
    sa.Column('memory_mb', sa.Integer, nullable=False),
    sa.Column('disk_gb', sa.Integer, nullable=False),
    sa.Column('reserved_memory_mb', sa.Integer, nullable=False),
    sa.Column('reserved_disk_gb', sa.Integer, nullable=False),
    sa.Column('cpu_allocation_ratio', sa.Double, nullable=False),
    sa.Column('ram_allocation_ratio', sa.Double, nullable=False),
    sa.Column('disk_allocation_ratio', sa.Double, nullable=False),
    sa.Column('vcpus_used', sa.Integer, nullable=False),
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
    sa.Column('host', _Name, nullable=False),
    sa.Column('instance_uuid', _Id, nullable=False),
    # The instance itself, or the operation that migrates or cleans it up.
    sa.Column('consumer', _Id, nullable=False),
    sa.Column('vcpus', sa.Integer, nullable=False),
    sa.Column('memory_mb', sa.Integer, nullable=False),
    sa.Column('disk_gb', sa.Integer, nullable=False),
    sa.Column('created_at', types.UtcDateTime, nullable=False),
    sa.UniqueConstraint('instance_uuid', 'host', 'consumer'),
    sa.Index(None, 'host'),
    sqlite_autoincrement=True,
)

migrations = sa.Table(
    'migrations',
    metadata,
    sa.Column('id', sa.Integer, primary_key=True),
    sa.Column('uuid', _Id, nullable=False, unique=True),
    sa.Column('instance_uuid', _Id, nullable=False),
    sa.Column('operation_id', _Id, nullable=False, index=True),
    sa.Column('kind', _Keyword, nullable=False),
    sa.Column('status', _Keyword, nullable=False),
    sa.Column('old_vm_state', _Keyword, nullable=False),
    sa.Column('source_host', _Name, nullable=False),
    sa.Column('source_node', _Name, nullable=False),
    sa.Column('dest_host', _Name),
    sa.Column('dest_node', _Name),
    sa.Column('dest_ip', _Name),
    sa.Column('old_flavor', types.Json, nullable=False),
    sa.Column('new_flavor', types.Json, nullable=False),
    sa.Column('user_id', _Name),
    sa.Column('project_id', _Name),
    sa.Column('memory_total', sa.BigInteger),
    sa.Column('memory_processed', sa.BigInteger),
    sa.Column('memory_remaining', sa.BigInteger),
    sa.Column('disk_total', sa.BigInteger),
    sa.Column('disk_processed', sa.BigInteger),
    sa.Column('disk_remaining', sa.BigInteger),
    sa.Column('created_at', types.UtcDateTime, nullable=False),
    sa.Column('updated_at', types.UtcDateTime),
    sa.Index(None, 'instance_uuid'),
    sa.Index(None, 'status', 'updated_at'),
    sqlite_autoincrement=True,
)

faults = sa.Table(
    'faults',
    metadata,
    sa.Column('id', types.Serial, primary_key=True),
    sa.Column('instance_uuid', _Id, nullable=False),
    sa.Column('operation_id', _Id),
    sa.Column('code', sa.Integer, nullable=False),
    sa.Column('message', sa.Text, nullable=False),
    sa.Column('details', sa.Text),
    sa.Column('host', _Name),
    sa.Column('created_at', types.UtcDateTime, nullable=False),
    sa.Index(None, 'instance_uuid', 'id'),
    sqlite_autoincrement=True,
)

flavors = sa.Table(
    'flavors',
    metadata,
    sa.Column('id', sa.Integer, primary_key=True),
    sa.Column('flavorid', _Name, nullable=False, unique=True),
    sa.Column('name', _Name, nullable=False, unique=True),
    sa.Column('description', sa.Text),
    sa.Column('vcpus', sa.Integer, nullable=False),
    sa.Column('memory_mb', sa.Integer, nullable=False),
    sa.Column('root_gb', sa.Integer, nullable=False),
    sa.Column('ephemeral_gb', sa.Integer, nullable=False),
    sa.Column('swap_mb', sa.Integer, nullable=False),
    sa.Column('rxtx_factor', sa.Double, nullable=False),
    sa.Column('is_public', sa.Boolean, nullable=False),
    sa.Column('disabled', sa.Boolean, nullable=False),
    sa.Column('extra_specs', types.Json, nullable=False),
    sa.Column('created_at', types.UtcDateTime, nullable=False),
    sqlite_autoincrement=True,
)

# The projects that may use a flavor that is not public.
flavor_projects = sa.Table(
    'flavor_projects',
    metadata,
    sa.Column('flavor_id', sa.Integer, primary_key=True, autoincrement=False),
    sa.Column('project_id', _Name, primary_key=True),
    sa.Index(None, 'project_id'),
)

key_pairs = sa.Table(
    'key_pairs',
    metadata,
    sa.Column('id', sa.Integer, primary_key=True),
    sa.Column('user_id', _Name, nullable=False),
    sa.Column('name', _Name, nullable=False),
    sa.Column('type', _Keyword, nullable=False),
    sa.Column('public_key', sa.Text, nullable=False),
    sa.Column('fingerprint', _Name, nullable=False),
    sa.Column('created_at', types.UtcDateTime, nullable=False),
    sa.UniqueConstraint('user_id', 'name'),
    sqlite_autoincrement=True,
)

networks = sa.Table(
    'networks',
    metadata,
    sa.Column('id', _Id, primary_key=True),
    sa.Column('name', _Name, nullable=False, unique=True),
    # The only project that may use it; NULL: every project.
    sa.Column('project_id', _Name),
    sa.Column('kind', _Keyword, nullable=False),
    # Its name on the hosts: of a bridge or of a libvirt network.
    sa.Column('device', _Name, nullable=False),
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
    sa.Column('id', _Id, primary_key=True),
    sa.Column('network_id', _Id, nullable=False),
    sa.Column('instance_uuid', _Id, nullable=False),
    # That of the instance, for the usage of quotas.
    sa.Column('project_id', _Name, nullable=False),
    sa.Column('address', sa.String(45), nullable=False),
    sa.Column('mac', sa.String(17), nullable=False, unique=True),
    sa.Column('created_at', types.UtcDateTime, nullable=False),
    # The last guard against an address with two owners.
    sa.UniqueConstraint('network_id', 'address'),
    sa.Index(None, 'instance_uuid'),
    sa.Index(None, 'project_id', 'network_id'),
)

# Limits that differ from the defaults. user_id '': the limits of the project.
quotas = sa.Table(
    'quotas',
    metadata,
    sa.Column('project_id', _Name, primary_key=True),
    sa.Column('user_id', _Name, primary_key=True),
    sa.Column('resource', _Keyword, primary_key=True),
    sa.Column('hard_limit', sa.Integer, nullable=False),
)

# The class "default" has the defaults that differ from the options.
quota_classes = sa.Table(
    'quota_classes',
    metadata,
    sa.Column('class_name', _Name, primary_key=True),
    sa.Column('resource', _Keyword, primary_key=True),
    sa.Column('hard_limit', sa.Integer, nullable=False),
)

# A row for each project or user whose usage was counted.
quota_locks = sa.Table(
    'quota_locks',
    metadata,
    sa.Column('name', sa.String(64), primary_key=True),
    # Changed by each holder, so that the nodes of Galera conflict as well.
    sa.Column('holders', sa.BigInteger, nullable=False),
)

leases = sa.Table(
    'leases',
    metadata,
    sa.Column('name', sa.String(64), primary_key=True),
    sa.Column('holder', _Name, nullable=False),
    sa.Column('expires_at', types.UtcDateTime, nullable=False),
)

# The public keys of computes. Who reads them cannot act for a host.
host_keys = sa.Table(
    'host_keys',
    metadata,
    sa.Column('host', _Name, primary_key=True),
    # NULL: the host has not shown its key yet; its token must come with it.
    sa.Column('public_key', sa.String(64)),
    sa.Column('enrolled_at', types.UtcDateTime),
    sa.Column('revoked_at', types.UtcDateTime),
    sa.Column('token_hash', sa.String(64)),
    sa.Column('token_expires_at', types.UtcDateTime),
)

# The key pair of api, conductors and minova-manage, which share the database.
control_plane_keys = sa.Table(
    'control_plane_keys',
    metadata,
    sa.Column('name', _Keyword, primary_key=True),
    sa.Column('private_key', sa.String(64), nullable=False),
)

# The messages that no conductor may accept again, until they are too old.
used_messages = sa.Table(
    'used_messages',
    metadata,
    sa.Column('digest', sa.String(64), primary_key=True),
    sa.Column('expires_at', types.UtcDateTime, nullable=False, index=True),
)

#: The table holds hashes only: no token can be read from it.
console_tokens = sa.Table(
    'console_tokens',
    metadata,
    sa.Column('id', types.Serial, primary_key=True),
    sa.Column('token_hash', sa.String(64), nullable=False, unique=True),
    sa.Column('instance_uuid', _Id, nullable=False, index=True),
    sa.Column('console_type', _Keyword, nullable=False),
    sa.Column('created_at', types.UtcDateTime, nullable=False),
    sa.Column('expires_at', types.UtcDateTime, nullable=False, index=True),
    sqlite_autoincrement=True,
)

# -- the archive -------------------------------------------------------------


def _archived(
    table: sa.Table, *more: sa.Index | sa.UniqueConstraint
) -> sa.Table:
    """Return the archive of ``table``: the same columns, without indexes.

    A schema upgrade that changes a table changes its archive too.
    """
    columns = (
        sa.Column(
            column.name,
            column.type,
            primary_key=column.primary_key,
            nullable=column.nullable,
            autoincrement=False,
        )
        for column in table.c
    )
    return sa.Table(f'archived_{table.name}', metadata, *columns, *more)


archived_instances = _archived(
    instances, sa.UniqueConstraint('uuid'), sa.Index(None, 'deleted_at')
)
archived_instance_tags = _archived(instance_tags)
archived_faults = _archived(faults, sa.Index(None, 'instance_uuid'))
archived_migrations = _archived(migrations, sa.Index(None, 'instance_uuid'))
archived_operations = _archived(
    operations,
    sa.Index(None, 'instance_uuid', 'started_at'),
    sa.Index(None, 'finished_at', 'id'),
)
archived_steps = _archived(
    steps, sa.UniqueConstraint('operation_id', 'number')
)
archived_outbox = _archived(
    outbox,
    sa.UniqueConstraint('instance_uuid', 'seq'),
    sa.Index(None, 'published_at', 'id'),
)
