# SPDX-License-Identifier: Apache-2.0
"""The archive tables: the rows of deleted instances."""

import sqlalchemy as sa

from minova.db.tables import base
from minova.db.tables import instance_tables
from minova.db.tables import usage_tables


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
    return sa.Table(f'archived_{table.name}', base.metadata, *columns, *more)


archived_instances = _archived(
    instance_tables.instances,
    sa.UniqueConstraint('uuid'),
    sa.Index(None, 'deleted_at'),
    sa.Index(None, 'project_id', 'uuid'),
)
archived_instance_tags = _archived(instance_tables.instance_tags)
archived_faults = _archived(
    instance_tables.faults, sa.Index(None, 'instance_uuid')
)
archived_migrations = _archived(
    instance_tables.migrations, sa.Index(None, 'instance_uuid')
)
archived_operations = _archived(
    instance_tables.operations,
    sa.Index(None, 'instance_uuid', 'started_at'),
    sa.Index(None, 'finished_at', 'id'),
)
archived_steps = _archived(
    instance_tables.steps, sa.UniqueConstraint('operation_id', 'number')
)
archived_outbox = _archived(
    instance_tables.outbox,
    sa.UniqueConstraint('instance_uuid', 'seq'),
    sa.Index(None, 'published_at', 'id'),
)
archived_usage_audits = _archived(
    usage_tables.usage_audits,
    sa.UniqueConstraint('period_ending', 'period_beginning', 'host'),
)
