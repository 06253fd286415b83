# SPDX-License-Identifier: Apache-2.0
"""The archive: a table beside each of those that what is over may leave."""

from alembic import op
import sqlalchemy as sa

from minova.db import types

revision = '0003'
down_revision = '0002'


def upgrade() -> None:
    """Make them."""
    op.create_table(
        'archived_faults',
        sa.Column(
            'id',
            sa.BigInteger().with_variant(sa.Integer(), 'sqlite'),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column('instance_uuid', sa.String(length=36), nullable=False),
        sa.Column('operation_id', sa.String(length=36), nullable=True),
        sa.Column('code', sa.Integer(), nullable=False),
        sa.Column('message', sa.Text(), nullable=False),
        sa.Column('details', sa.Text(), nullable=True),
        sa.Column('host', sa.String(length=255), nullable=True),
        sa.Column('created_at', types.Moment(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_archived_faults')),
    )
    op.create_index(
        op.f('ix_archived_faults_instance_uuid'),
        'archived_faults',
        ['instance_uuid'],
        unique=False,
    )
    op.create_table(
        'archived_instances',
        sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
        sa.Column('uuid', sa.String(length=36), nullable=False),
        sa.Column('project_id', sa.String(length=255), nullable=False),
        sa.Column('user_id', sa.String(length=255), nullable=False),
        sa.Column('display_name', sa.String(length=255), nullable=False),
        sa.Column('display_description', sa.String(length=255), nullable=True),
        sa.Column('hostname', sa.String(length=255), nullable=False),
        sa.Column('reservation_id', sa.String(length=255), nullable=False),
        sa.Column('launch_index', sa.Integer(), nullable=False),
        sa.Column('host', sa.String(length=255), nullable=True),
        sa.Column('node', sa.String(length=255), nullable=True),
        sa.Column('availability_zone', sa.String(length=255), nullable=True),
        sa.Column('vm_state', sa.String(length=32), nullable=False),
        sa.Column('task_state', sa.String(length=32), nullable=True),
        sa.Column('power_state', sa.Integer(), nullable=False),
        sa.Column('task_id', sa.String(length=36), nullable=True),
        sa.Column('generation', sa.Integer(), nullable=False),
        sa.Column('notification_seq', sa.Integer(), nullable=False),
        sa.Column('progress', sa.Integer(), nullable=True),
        sa.Column('flavor', types.Json(), nullable=False),
        sa.Column('image_ref', sa.String(length=255), nullable=False),
        sa.Column('image_meta', types.Json(), nullable=False),
        sa.Column('architecture', sa.String(length=32), nullable=True),
        sa.Column('os_type', sa.String(length=255), nullable=True),
        sa.Column('kernel_id', sa.String(length=255), nullable=False),
        sa.Column('ramdisk_id', sa.String(length=255), nullable=False),
        sa.Column('root_device_name', sa.String(length=255), nullable=True),
        sa.Column('metadata', types.Json(), nullable=False),
        sa.Column('tags', types.Json(), nullable=False),
        sa.Column('network_info', types.Json(), nullable=False),
        sa.Column('key_name', sa.String(length=255), nullable=True),
        sa.Column('key_data', sa.Text(), nullable=True),
        sa.Column('user_data', sa.Text(), nullable=True),
        sa.Column('config_drive', sa.Boolean(), nullable=False),
        sa.Column('auto_disk_config', sa.Boolean(), nullable=False),
        sa.Column('locked', sa.Boolean(), nullable=False),
        sa.Column('locked_reason', sa.String(length=255), nullable=True),
        sa.Column('shutdown_terminate', sa.Boolean(), nullable=False),
        sa.Column('access_ip_v4', sa.String(length=45), nullable=True),
        sa.Column('access_ip_v6', sa.String(length=45), nullable=True),
        sa.Column('created_at', types.Moment(), nullable=False),
        sa.Column('updated_at', types.Moment(), nullable=True),
        sa.Column('launched_at', types.Moment(), nullable=True),
        sa.Column('terminated_at', types.Moment(), nullable=True),
        sa.Column('deleted_at', types.Moment(), nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_archived_instances')),
        sa.UniqueConstraint('uuid', name=op.f('uq_archived_instances_uuid')),
    )
    op.create_index(
        op.f('ix_archived_instances_deleted_at'),
        'archived_instances',
        ['deleted_at'],
        unique=False,
    )
    op.create_table(
        'archived_migrations',
        sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
        sa.Column('uuid', sa.String(length=36), nullable=False),
        sa.Column('instance_uuid', sa.String(length=36), nullable=False),
        sa.Column('operation_id', sa.String(length=36), nullable=False),
        sa.Column('kind', sa.String(length=32), nullable=False),
        sa.Column('status', sa.String(length=32), nullable=False),
        sa.Column('origin', sa.String(length=32), nullable=False),
        sa.Column('source_host', sa.String(length=255), nullable=False),
        sa.Column('source_node', sa.String(length=255), nullable=False),
        sa.Column('dest_host', sa.String(length=255), nullable=True),
        sa.Column('dest_node', sa.String(length=255), nullable=True),
        sa.Column('dest_ip', sa.String(length=255), nullable=True),
        sa.Column('old_flavor', types.Json(), nullable=False),
        sa.Column('new_flavor', types.Json(), nullable=False),
        sa.Column('user_id', sa.String(length=255), nullable=True),
        sa.Column('project_id', sa.String(length=255), nullable=True),
        sa.Column('memory_total', sa.BigInteger(), nullable=True),
        sa.Column('memory_processed', sa.BigInteger(), nullable=True),
        sa.Column('memory_remaining', sa.BigInteger(), nullable=True),
        sa.Column('disk_total', sa.BigInteger(), nullable=True),
        sa.Column('disk_processed', sa.BigInteger(), nullable=True),
        sa.Column('disk_remaining', sa.BigInteger(), nullable=True),
        sa.Column('created_at', types.Moment(), nullable=False),
        sa.Column('updated_at', types.Moment(), nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_archived_migrations')),
    )
    op.create_index(
        op.f('ix_archived_migrations_instance_uuid'),
        'archived_migrations',
        ['instance_uuid'],
        unique=False,
    )
    op.create_table(
        'archived_operations',
        sa.Column(
            'id', sa.String(length=36), autoincrement=False, nullable=False
        ),
        sa.Column('instance_uuid', sa.String(length=36), nullable=False),
        sa.Column('kind', sa.String(length=32), nullable=False),
        sa.Column('generation', sa.Integer(), nullable=False),
        sa.Column('state', sa.String(length=32), nullable=False),
        sa.Column('owns', sa.Boolean(), nullable=False),
        sa.Column('outcome', sa.String(length=32), nullable=True),
        sa.Column('unwinding', sa.Boolean(), nullable=False),
        sa.Column('origin', sa.String(length=32), nullable=False),
        sa.Column('outstanding', sa.Integer(), nullable=False),
        sa.Column('request_id', sa.String(length=255), nullable=False),
        sa.Column('user_id', sa.String(length=255), nullable=True),
        sa.Column('project_id', sa.String(length=255), nullable=True),
        sa.Column('context', types.Json(), nullable=False),
        sa.Column('params', types.Json(), nullable=False),
        sa.Column('error', types.Json(), nullable=True),
        sa.Column('waits_for', sa.Text(), nullable=True),
        sa.Column('waits_since', types.Moment(), nullable=True),
        sa.Column(
            'incidents', sa.Integer(), nullable=False, server_default='0'
        ),
        sa.Column('deadline', types.Moment(), nullable=False),
        sa.Column('started_at', types.Moment(), nullable=False),
        sa.Column('updated_at', types.Moment(), nullable=False),
        sa.Column('finished_at', types.Moment(), nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_archived_operations')),
    )
    op.create_index(
        op.f('ix_archived_operations_finished_at_id'),
        'archived_operations',
        ['finished_at', 'id'],
        unique=False,
    )
    op.create_index(
        op.f('ix_archived_operations_instance_uuid_started_at'),
        'archived_operations',
        ['instance_uuid', 'started_at'],
        unique=False,
    )
    op.create_table(
        'archived_outbox',
        sa.Column(
            'id',
            sa.BigInteger().with_variant(sa.Integer(), 'sqlite'),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column('instance_uuid', sa.String(length=36), nullable=False),
        sa.Column('seq', sa.Integer(), nullable=False),
        sa.Column('message_id', sa.String(length=36), nullable=False),
        sa.Column('operation_id', sa.String(length=36), nullable=True),
        sa.Column('event_type', sa.String(length=128), nullable=False),
        sa.Column('publisher_id', sa.String(length=255), nullable=False),
        sa.Column('priority', sa.String(length=32), nullable=False),
        sa.Column('payload', types.Json(), nullable=False),
        sa.Column('context', types.Json(), nullable=False),
        sa.Column('created_at', types.Moment(), nullable=False),
        sa.Column('published_at', types.Moment(), nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_archived_outbox')),
        sa.UniqueConstraint(
            'instance_uuid',
            'seq',
            name=op.f('uq_archived_outbox_instance_uuid_seq'),
        ),
    )
    op.create_index(
        op.f('ix_archived_outbox_published_at_id'),
        'archived_outbox',
        ['published_at', 'id'],
        unique=False,
    )
    op.create_table(
        'archived_steps',
        sa.Column(
            'id', sa.String(length=36), autoincrement=False, nullable=False
        ),
        sa.Column('operation_id', sa.String(length=36), nullable=False),
        sa.Column('instance_uuid', sa.String(length=36), nullable=False),
        sa.Column('number', sa.Integer(), nullable=False),
        sa.Column('method', sa.String(length=64), nullable=False),
        sa.Column('topic', sa.String(length=32), nullable=False),
        sa.Column('host', sa.String(length=255), nullable=True),
        sa.Column('args', types.Json(), nullable=False),
        sa.Column('state', sa.String(length=32), nullable=False),
        sa.Column('undoes', sa.String(length=36), nullable=True),
        sa.Column('nested', sa.Boolean(), nullable=False),
        sa.Column('detached', sa.Boolean(), nullable=False),
        sa.Column('incarnation', sa.String(length=36), nullable=True),
        sa.Column('saved', types.Json(), nullable=False),
        sa.Column('opened', types.Json(), nullable=False),
        sa.Column('attempts', sa.Integer(), nullable=False),
        sa.Column('result', types.Json(), nullable=True),
        sa.Column('error', types.Json(), nullable=True),
        sa.Column('not_before', types.Moment(), nullable=True),
        sa.Column('created_at', types.Moment(), nullable=False),
        sa.Column('started_at', types.Moment(), nullable=True),
        sa.Column('finished_at', types.Moment(), nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_archived_steps')),
        sa.UniqueConstraint(
            'operation_id',
            'number',
            name=op.f('uq_archived_steps_operation_id_number'),
        ),
    )
