# SPDX-License-Identifier: Apache-2.0
"""What is over goes to the archive, and what is old leaves it.

What may go stands in conditions that hold for good once they hold: an
operation that has ended does not begin again, a notification that was
published is not unpublished. So they may be asked first and acted on later,
while services work.

Never archived: an operation that has not ended or whose server still has an
open step or a move that is going on or waits to be confirmed; a notification
that is not published or belongs to an operation that goes on; a server that is
not deleted or of which anything else stays. Faults and migrations go with
their server, because the API shows those of living ones.
"""

from collections.abc import Callable
from collections.abc import Iterable
import dataclasses
import datetime
from typing import Any
from typing import Final

import sqlalchemy as sa

from minova import exception
from minova import states
from minova.db import tables
from minova.db.connections.engine import Connection
from minova.db.queries import migrations
from minova.db.queries import paging
from minova.objects import operation as records

Condition = sa.ColumnElement[bool]
Marker = tuple[Any, ...]

_i = tables.instances
_o = tables.operations
_s = tables.steps
_b = tables.outbox


@dataclasses.dataclass(frozen=True)
class ChildTable:
    """A table whose rows go with those of another: which, and by what."""

    table: sa.Table
    archived: sa.Table
    parent_column: str


@dataclasses.dataclass(frozen=True)
class EntityKind:
    """Rows that go to the archive together, each with its parts.

    ``age`` is the column that says since when a thing is over, ``key`` what
    the parts name it by, ``order`` the columns by which it is worked through.
    ``stays`` says of a row that is old enough why it may not go yet.
    """

    table: sa.Table
    archived: sa.Table
    age_column: str
    key_column: str
    order_columns: tuple[str, ...]
    blockers: Callable[[datetime.datetime], tuple[Condition, ...]]
    children: tuple[ChildTable, ...] = ()


@dataclasses.dataclass(frozen=True)
class Batch:
    """How many rows of each table went, and where to go on."""

    counts: dict[str, int]
    after: Marker | None


def _is_busy(instance_uuid: sa.Column[Any]) -> tuple[Condition, ...]:
    """Return the conditions that something still goes on with a server."""
    records_of_moves = tables.migrations.c
    return (
        sa.exists().where(
            _s.c.instance_uuid == instance_uuid, _s.c.state.in_(records.OPEN)
        ),
        sa.exists().where(
            records_of_moves.instance_uuid == instance_uuid,
            records_of_moves.status.in_(migrations.ACTIVE_STATUSES),
        ),
    )


def _notice_blockers(moment: datetime.datetime) -> tuple[Condition, ...]:
    return (
        sa.exists().where(
            _o.c.id == _b.c.operation_id, _o.c.finished_at.is_(None)
        ),
    )


def _operation_blockers(moment: datetime.datetime) -> tuple[Condition, ...]:
    return (_o.c.state == records.RUNNING, *_is_busy(_o.c.instance_uuid))


def _instance_blockers(moment: datetime.datetime) -> tuple[Condition, ...]:
    held = tables.allocations
    return (
        _i.c.vm_state != states.DELETED,
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
        sa.exists().where(held.c.instance_uuid == _i.c.uuid),
        sa.exists().where(tables.ports.c.instance_uuid == _i.c.uuid),
    )


#: In the order in which they go: a server goes after all that tells of it.
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
            ChildTable(tables.faults, tables.archived_faults, 'instance_uuid'),
            ChildTable(
                tables.migrations, tables.archived_migrations, 'instance_uuid'
            ),
        ),
    ),
)


def archive_batch(
    connection: Connection,
    kind: EntityKind,
    moment: datetime.datetime,
    limit: int,
    after: Marker | None = None,
) -> Batch:
    """Archive the next rows of a kind that were over before ``moment``."""
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
    # Another archiver may be at the same rows; each goes once.
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
    """Let the next archived rows of a kind that are so old go for good."""
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
    """Return how many rows of each table would go now.

    With ``archived``, how many would leave the archive.
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
    connection: Connection, table: sa.Table, conditions: Iterable[Condition]
) -> int:
    query = sa.select(sa.func.count()).select_from(table).where(*conditions)
    return int(connection.execute(query).scalar_one())


def _is_archivable(
    kind: EntityKind, moment: datetime.datetime
) -> tuple[Condition, ...]:
    old = kind.table.c[kind.age_column] < moment
    return (old, *(sa.not_(reason) for reason in kind.blockers(moment)))


def _next_keys(
    connection: Connection,
    kind: EntityKind,
    table: sa.Table,
    conditions: Iterable[Condition],
    limit: int,
    after: Marker | None,
) -> tuple[list[Any], Marker | None]:
    """Return the keys of the next rows, and the marker of the last."""
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
    connection: Connection, kind: EntityKind, table: sa.Table, keys: list[Any]
) -> list[Any]:
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
    keys: list[Any],
) -> int:
    names = [column.name for column in table.c]
    copied = connection.execute(
        sa.insert(archived).from_select(
            names, sa.select(*table.c).where(table.c[link].in_(keys))
        ),
        # Or psycopg's would not be known.
        execution_options={'preserve_rowcount': True},
    ).rowcount
    deleted = _delete_rows(connection, table, link, keys)
    if copied != deleted:
        raise exception.Conflict(
            reason=f'rows of {table.name} changed while they were archived; '
            'this batch stays as it was'
        )
    return deleted


def _delete_rows(
    connection: Connection, table: sa.Table, link: str, keys: list[Any]
) -> int:
    result = connection.execute(
        sa.delete(table).where(table.c[link].in_(keys))
    )
    return int(result.rowcount)


# -- what is said of it ------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class ArchivedSummary:
    """What of an instance's story is in the archive."""

    operations: int
    last_finished_at: datetime.datetime | None
    notices: int
    has_instance: bool


def summarize_instance(
    connection: Connection, instance_uuid: str
) -> ArchivedSummary:
    """Return what of an instance is archived."""
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
