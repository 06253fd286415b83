# SPDX-License-Identifier: Apache-2.0
"""The archive: finished rows move to archive tables, old ones are purged.

A row may be archived under conditions that stay true once they are true: an
ended operation does not begin again, a published notification stays
published. A batch can therefore be selected first and archived later, while
services run.

Never archived are

* an operation that runs, or whose server has an open step or a migration that
  is in progress or waits for its confirmation;
* a notification that is unpublished or belongs to a running operation;
* a server that is not deleted, or with unarchived operations, notifications,
  allocations or ports, or whose last period is not audited;
* the newest audit of usage.

Tags, faults and migrations are archived with their server, because the API
shows those of existing servers.
"""

from collections.abc import Callable
from collections.abc import Iterable
import dataclasses
import datetime
from typing import Final

import sqlalchemy as sa

from minova import exception
from minova import migration_states
from minova import states
from minova.conf import CONF
from minova.db import tables
from minova.db import types
from minova.db.connections.engine import Connection
from minova.db.queries import paging
from minova.objects import operation as records

#: The key of a row.
Key = int | str
Marker = tuple[int | str | datetime.datetime, ...]

_i = tables.instances
_o = tables.operations
_s = tables.steps
_b = tables.outbox


@dataclasses.dataclass(frozen=True)
class ChildTable:
    """A table whose rows are archived with the rows of their parent."""

    table: sa.Table
    archived: sa.Table
    parent_column: str


@dataclasses.dataclass(frozen=True)
class EntityKind:
    """A kind of row that is archived together with its child rows.

    ``age_column`` has the time at which a row became final, ``key_column``
    the key that child rows refer to, ``order_columns`` the order of the
    batches. ``blockers`` are the conditions that keep an old row, for a time
    before which rows are archived.
    """

    table: sa.Table
    archived: sa.Table
    age_column: str
    key_column: str
    order_columns: tuple[str, ...]
    blockers: Callable[[datetime.datetime], tuple[types.Condition, ...]]
    children: tuple[ChildTable, ...] = ()


@dataclasses.dataclass(frozen=True)
class Batch:
    """The number of rows by table, and the marker of the next batch."""

    counts: dict[str, int]
    after: Marker | None


def _is_busy(instance_uuid: types.Column) -> tuple[types.Condition, ...]:
    """Return the conditions that a server has open steps or migrations."""
    migration = tables.migrations.c
    return (
        sa.exists().where(
            _s.c.instance_uuid == instance_uuid, _s.c.state.in_(records.OPEN)
        ),
        sa.exists().where(
            migration.instance_uuid == instance_uuid,
            migration.status.in_(migration_states.UNFINISHED),
        ),
    )


def _notice_blockers(moment: datetime.datetime) -> tuple[types.Condition, ...]:
    return (
        sa.exists().where(
            _o.c.id == _b.c.operation_id, _o.c.finished_at.is_(None)
        ),
    )


def _operation_blockers(
    moment: datetime.datetime,
) -> tuple[types.Condition, ...]:
    return (_o.c.state == records.RUNNING, *_is_busy(_o.c.instance_uuid))


def _instance_blockers(
    moment: datetime.datetime,
) -> tuple[types.Condition, ...]:
    allocations = tables.allocations
    unaudited: types.Condition = sa.false()
    if CONF.notifications.instance_usage_audit:
        unaudited = _i.c.usage_audited_until <= _i.c.terminated_at
    return (
        _i.c.vm_state != states.DELETED,
        sa.func.coalesce(unaudited, sa.false()),
        _i.c.task_id.is_not(None),
        *_is_busy(_i.c.uuid),
        sa.exists().where(
            _o.c.instance_uuid == _i.c.uuid,
            sa.or_(_o.c.finished_at.is_(None), _o.c.finished_at >= moment),
        ),
        sa.exists().where(
            _b.c.instance_uuid == _i.c.uuid,
            sa.or_(_b.c.published_at.is_(None), _b.c.published_at >= moment),
        ),
        sa.exists().where(allocations.c.instance_uuid == _i.c.uuid),
        sa.exists().where(tables.ports.c.instance_uuid == _i.c.uuid),
    )


def _usage_audit_blockers(
    moment: datetime.datetime,
) -> tuple[types.Condition, ...]:
    # The next audit continues after the newest one.
    newer = tables.usage_audits.alias()
    newest = sa.select(sa.func.max(newer.c.period_ending)).scalar_subquery()
    return (tables.usage_audits.c.period_ending >= newest,)


#: In the order of archiving: a server follows all rows that refer to it.
ENTITY_KINDS: Final = (
    EntityKind(
        table=_b,
        archived=tables.archived_outbox,
        age_column='published_at',
        key_column='id',
        order_columns=('published_at', 'id'),
        blockers=_notice_blockers,
    ),
    EntityKind(
        table=_o,
        archived=tables.archived_operations,
        age_column='finished_at',
        key_column='id',
        order_columns=('id',),
        blockers=_operation_blockers,
        children=(ChildTable(_s, tables.archived_steps, 'operation_id'),),
    ),
    EntityKind(
        table=_i,
        archived=tables.archived_instances,
        age_column='deleted_at',
        key_column='uuid',
        order_columns=('id',),
        blockers=_instance_blockers,
        children=(
            ChildTable(
                tables.instance_tags,
                tables.archived_instance_tags,
                'instance_uuid',
            ),
            ChildTable(tables.faults, tables.archived_faults, 'instance_uuid'),
            ChildTable(
                tables.migrations, tables.archived_migrations, 'instance_uuid'
            ),
        ),
    ),
    EntityKind(
        table=tables.usage_audits,
        archived=tables.archived_usage_audits,
        age_column='finished_at',
        key_column='id',
        order_columns=('id',),
        blockers=_usage_audit_blockers,
    ),
)


def archive_batch(
    connection: Connection,
    kind: EntityKind,
    moment: datetime.datetime,
    limit: int,
    after: Marker | None = None,
) -> Batch:
    """Archive the next rows of a kind that became final before ``moment``."""
    found, marker = _next_keys(
        connection,
        kind,
        kind.table,
        _is_archivable(kind, moment),
        limit,
        after,
    )
    if not found:
        return Batch({}, None)
    # Another archiver may have selected the same rows.
    keys = _lock_rows(connection, kind, kind.table, found)
    counts = {
        part.table.name: _move_rows(
            connection, part.table, part.archived, part.parent_column, keys
        )
        for part in kind.children
    }
    counts[kind.table.name] = _move_rows(
        connection, kind.table, kind.archived, kind.key_column, keys
    )
    return Batch(counts, marker)


def purge_batch(
    connection: Connection,
    kind: EntityKind,
    moment: datetime.datetime,
    limit: int,
    after: Marker | None = None,
) -> Batch:
    """Delete the next archived rows of a kind older than ``moment``."""
    table = kind.archived
    old = (table.c[kind.age_column] < moment,)
    found, marker = _next_keys(connection, kind, table, old, limit, after)
    if not found:
        return Batch({}, None)
    keys = _lock_rows(connection, kind, table, found)
    counts = {
        part.table.name: _delete_rows(
            connection, part.archived, part.parent_column, keys
        )
        for part in kind.children
    }
    counts[kind.table.name] = _delete_rows(
        connection, table, kind.key_column, keys
    )
    return Batch(counts, marker)


def count_rows(
    connection: Connection,
    kind: EntityKind,
    moment: datetime.datetime,
    archived: bool = False,
) -> dict[str, int]:
    """Return how many rows of each table would be archived now.

    With ``archived``, how many would be purged from the archive.
    """
    table = kind.archived if archived else kind.table
    conditions = (
        (table.c[kind.age_column] < moment,)
        if archived
        else _is_archivable(kind, moment)
    )
    counts = {}
    for part in kind.children:
        own = part.archived if archived else part.table
        keys = sa.select(table.c[kind.key_column]).where(*conditions)
        counts[part.table.name] = _count_rows(
            connection, own, (own.c[part.parent_column].in_(keys),)
        )
    counts[kind.table.name] = _count_rows(connection, table, conditions)
    return counts


def _count_rows(
    connection: Connection,
    table: sa.Table,
    conditions: Iterable[types.Condition],
) -> int:
    query = sa.select(sa.func.count()).select_from(table).where(*conditions)
    return int(connection.execute(query).scalar_one())


def _is_archivable(
    kind: EntityKind, moment: datetime.datetime
) -> tuple[types.Condition, ...]:
    old = kind.table.c[kind.age_column] < moment
    return (old, *(sa.not_(reason) for reason in kind.blockers(moment)))


def _next_keys(
    connection: Connection,
    kind: EntityKind,
    table: sa.Table,
    conditions: Iterable[types.Condition],
    limit: int,
    after: Marker | None,
) -> tuple[list[Key], Marker | None]:
    """Return the keys of the next rows and the marker of the last one."""
    columns = [table.c[name] for name in kind.order_columns]
    query = sa.select(table.c[kind.key_column].label('the_key'), *columns)
    if after is not None:
        query = query.where(paging.after_values(columns, after))
    rows = connection.execute(
        query.where(*conditions).order_by(*columns).limit(limit)
    ).all()
    marker = tuple(rows[-1][1:]) if rows else None
    return [row[0] for row in rows], marker


def _lock_rows(
    connection: Connection, kind: EntityKind, table: sa.Table, keys: list[Key]
) -> list[Key]:
    column = table.c[kind.key_column]
    rows = connection.execute(
        sa.select(column)
        .where(column.in_(keys))
        .order_by(column)
        .with_for_update()
    )
    return list(rows.scalars())


def _move_rows(
    connection: Connection,
    table: sa.Table,
    archived: sa.Table,
    link: str,
    keys: list[Key],
) -> int:
    names = [column.name for column in table.c]
    copied = connection.execute(
        sa.insert(archived).from_select(
            names, sa.select(*table.c).where(table.c[link].in_(keys))
        ),
        # psycopg reports no row count of INSERT ... SELECT without it.
        execution_options={'preserve_rowcount': True},
    ).rowcount
    deleted = _delete_rows(connection, table, link, keys)
    if copied != deleted:
        raise exception.Conflict(
            reason=f'rows of {table.name} changed while they were archived; '
            'this batch is rolled back; run the command again'
        )
    return deleted


def _delete_rows(
    connection: Connection, table: sa.Table, link: str, keys: list[Key]
) -> int:
    result = connection.execute(
        sa.delete(table).where(table.c[link].in_(keys))
    )
    return int(result.rowcount)


# -- summary -----------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class ArchivedSummary:
    """The archived part of an instance's history, as numbers."""

    operations: int
    last_finished_at: datetime.datetime | None
    notices: int
    has_instance: bool


def summarize_instance(
    connection: Connection, instance_uuid: str
) -> ArchivedSummary:
    """Return how much of an instance's history is archived."""
    operations = tables.archived_operations
    row = connection.execute(
        sa.select(
            sa.func.count(), sa.func.max(operations.c.finished_at)
        ).where(operations.c.instance_uuid == instance_uuid)
    ).one()
    notices = tables.archived_outbox
    servers = tables.archived_instances
    return ArchivedSummary(
        operations=row[0],
        last_finished_at=row[1],
        notices=_count_rows(
            connection, notices, (notices.c.instance_uuid == instance_uuid,)
        ),
        has_instance=bool(
            _count_rows(
                connection, servers, (servers.c.uuid == instance_uuid,)
            )
        ),
    )
