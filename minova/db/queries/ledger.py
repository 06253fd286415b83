# SPDX-License-Identifier: Apache-2.0
"""Queries about all that was ever told: the outbox and its archive as one.

Only read. A row is in one of the two, and moves from the first to the second;
each page is one statement over both, so that none is missed on its way.
"""

import dataclasses
import datetime
from typing import Any
from typing import Final

import sqlalchemy as sa

from minova.db import tables
from minova.db.connections.engine import Connection
from minova.db.queries import outbox
from minova.db.queries import paging

_TABLES: Final = (tables.outbox, tables.archived_outbox)

#: The orders in which the ledger is read: each instance's by its numbers, one
#: instance after the other, or all as they were written.
BY_INSTANCE: Final = ('instance_uuid', 'seq')
AS_WRITTEN: Final = ('id',)

Marker = tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Scope:
    """Which notifications: all, or those that pass what is set.

    ``since`` and ``until`` are about when a thing was told; what was told at
    ``until`` is not meant any more.
    """

    instance: str | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    unpublished: bool = False


@dataclasses.dataclass(frozen=True)
class Entry(outbox.Notice):
    """A notification, and whether it is in the archive."""

    archived: bool


@dataclasses.dataclass(frozen=True)
class Counts:
    """How many notifications, and how many of them still wait."""

    total: int
    unpublished: int


def make_marker(entry: outbox.Notice, order: tuple[str, ...]) -> Marker:
    """Return where in this order a notification stands."""
    return tuple(getattr(entry, name) for name in order)


def list_page(
    connection: Connection,
    scope: Scope,
    order: tuple[str, ...],
    limit: int,
    after: Marker | None = None,
) -> list[Entry]:
    """Return the next notifications of a scope behind a marker."""
    # Each half is cut by itself: not every database would look only at the
    # beginning of both.
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
    """Count the notifications of a scope behind a marker by instance."""
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
) -> list[sa.ColumnElement[bool]]:
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
    """What is kept of an instance's notifications: numbers, None for none.

    ``last`` is the newest that was ever given, None for an instance that is
    not known any more.
    """

    first: int | None
    first_unarchived: int | None
    last: int | None


def get_retained(connection: Connection, instance_uuid: str) -> RetainedRange:
    """Return how much of an instance's story is where."""
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
