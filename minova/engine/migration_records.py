# SPDX-License-Identifier: Apache-2.0
"""The records of migrations: the one place where their status changes.

``migration_states`` has the table of transitions.
"""

import datetime

from minova import clock
from minova import exception
from minova import migration_states
from minova.db.connections.engine import Connection
from minova.db.queries import migrations
from minova.objects.flavor import Flavor
from minova.objects.instance import Instance
from minova.objects.migration import Migration
from minova.objects.operation import Operation


def begin(
    connection: Connection,
    operation: Operation,
    instance: Instance,
    kind: str,
    dest_host: str | None,
    dest_node: str | None,
    dest_ip: str | None,
    new_flavor: Flavor,
    now: datetime.datetime,
) -> None:
    """Write the record of the migration that ``operation`` creates."""
    migrations.insert(
        connection,
        {
            'uuid': clock.uuid4(),
            'instance_uuid': instance.uuid,
            'operation_id': operation.id,
            'user_id': operation.user_id,
            'project_id': operation.project_id,
            'kind': kind,
            'status': migration_states.initial_status(kind),
            'old_vm_state': instance.vm_state,
            'source_host': str(instance.host),
            'source_node': str(instance.node),
            'dest_host': dest_host,
            'dest_node': dest_node,
            'dest_ip': dest_ip,
            'old_flavor': instance.flavor,
            'new_flavor': new_flavor,
            'created_at': now,
            'updated_at': now,
        },
    )


def change_destination(
    connection: Connection,
    migration: Migration,
    dest_host: str | None,
    dest_node: str | None,
    dest_ip: str | None,
    now: datetime.datetime,
) -> None:
    """Write another destination to a record: the first one failed.

    Raises IllegalTransition when the migration has left its initial status.
    """
    first = migration_states.initial_status(migration.kind)
    advance(connection, migration, first, now)
    save(
        connection,
        migration,
        now,
        dest_host=dest_host,
        dest_node=dest_node,
        dest_ip=dest_ip,
    )


def advance(
    connection: Connection,
    migration: Migration,
    status: str,
    now: datetime.datetime,
) -> None:
    """Change the status of a migration.

    Raises IllegalTransition, or Stale when the status in the database is not
    the one that was read; then nothing is written.
    """
    migration_states.check_transition(migration.kind, migration.status, status)
    if status == migration.status:
        return
    if not migrations.update_status(
        connection, migration.id, migration.status, status, now
    ):
        raise exception.Stale(
            what=f'Migration {migration.id}', holder='another writer'
        )
    migration.status = status
    migration.updated_at = now


def end(
    connection: Connection,
    migration: Migration,
    status: str,
    now: datetime.datetime,
) -> None:
    """Change the status unless the migration has ended before."""
    if migration.status not in migration_states.FINAL:
        advance(connection, migration, status, now)


def save(
    connection: Connection,
    migration: Migration,
    now: datetime.datetime,
    **fields: str | int | None,
) -> None:
    """Change fields of a record other than its status."""
    migrations.update(connection, migration.id, {**fields, 'updated_at': now})
    for name, value in fields.items():
        setattr(migration, name, value)
    migration.updated_at = now
