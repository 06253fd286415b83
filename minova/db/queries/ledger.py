# SPDX-License-Identifier: Apache-2.0
"""The ledger: all emitted notifications, from the outbox and its archive.

These queries only read. The archiver moves rows from one table to the other;
each page is one statement over both tables, so that it misses no row.
"""

import dataclasses
import datetime
from typing import Final

import sqlalchemy as sa

from minova.db import tables
from minova.db import types
from minova.db.connections.engine import Connection
from minova.db.queries import outbox
from minova.db.queries import paging

_TABLES: Final = (tables.outbox, tables.archived_outbox)

#: The orders of the ledger: by instance and sequence number, or as written.
BY_INSTANCE: Final = ('instance_uuid', 'seq')
AS_WRITTEN: Final = ('id',)

Marker = tuple[int | str, ...]


@dataclasses.dataclass(frozen=True)
class Scope:
    """A filter of notifications; without fields it matches all.

    ``since`` (inclusive) and ``until`` (exclusive) limit the creation time.
    """

    instance: str | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    unpublished: bool = False


@dataclasses.dataclass(frozen=True)
class Entry(outbox.Notice):
    """A notification, and whether it is archived."""

    archived: bool


@dataclasses.dataclass(frozen=True)
class Counts:
    """The number of notifications, and of the unpublished among them."""

    total: int
    unpublished: int


def make_marker(entry: outbox.Notice, order: tuple[str, ...]) -> Marker:
    """Return the position of a notification in an order."""
    return tuple(getattr(entry, name) for name in order)


def list_page(
    connection: Connection,
    scope: Scope,
    order: tuple[str, ...],
    limit: int,
    after: Marker | None = None,
) -> list[Entry]:
    """Return the next notifications of a scope after a marker."""
    # Each half has its own limit: not every database applies the outer limit
    # to both.
    halves = [
        sa.select(*table.c, sa.literal(archived, sa.Boolean).label('archived'))
        .where(*_conditions(table, scope, order, after))
        .order_by(*(table.c[name] for name in order))
        .limit(limit)
        .subquery()
        .select()
        for table, archived in zip(_TABLES, (False, True), strict=True)
    ]
    both = sa.union_all(*halves)
    rows = connection.execute(
        both.order_by(*(both.selected_columns[name] for name in order)).limit(
            limit
        )
    ).mappings()
    return [Entry(**row) for row in rows]


def count(
    connection: Connection, scope: Scope, after: Marker | None = None
) -> Counts:
    """Count the notifications of a scope after a BY_INSTANCE marker."""
    total = published = 0
    for table in _TABLES:
        row = connection.execute(
            sa.select(
                sa.func.count(), sa.func.count(table.c.published_at)
            ).where(*_conditions(table, scope, BY_INSTANCE, after))
        ).one()
        total += row[0]
        published += row[1]
    return Counts(total, total - published)


def _conditions(
    table: sa.Table,
    scope: Scope,
    order: tuple[str, ...],
    after: Marker | None,
) -> list[types.Condition]:
    found = []
    if scope.instance is not None:
        found.append(table.c.instance_uuid == scope.instance)
    if scope.since is not None:
        found.append(table.c.created_at >= scope.since)
    if scope.until is not None:
        found.append(table.c.created_at < scope.until)
    if scope.unpublished:
        found.append(table.c.published_at.is_(None))
    if after is not None:
        columns = [table.c[name] for name in order]
        found.append(paging.after_values(columns, after))
    return found


# -- one instance ------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class RetainedRange:
    """The sequence numbers of an instance's retained notifications.

    ``first`` and ``first_unarchived`` are None if there are none. ``last`` is
    the newest number ever assigned, None for an unknown instance.
    """

    first: int | None
    first_unarchived: int | None
    last: int | None


def get_retained(connection: Connection, instance_uuid: str) -> RetainedRange:
    """Return which notifications of an instance are retained."""
    found = [
        connection.execute(
            sa.select(
                sa.func.min(table.c.seq), sa.func.max(table.c.seq)
            ).where(table.c.instance_uuid == instance_uuid)
        ).one()
        for table in _TABLES
    ]
    firsts = [row[0] for row in found if row[0] is not None]
    lasts = [row[1] for row in found if row[1] is not None]
    for table in (tables.instances, tables.archived_instances):
        row = connection.execute(
            sa.select(table.c.notification_seq).where(
                table.c.uuid == instance_uuid
            )
        ).first()
        if row is not None:
            lasts.append(row[0])
    return RetainedRange(
        first=min(firsts, default=None),
        first_unarchived=found[0][0],
        last=max(lasts, default=None),
    )
