# SPDX-License-Identifier: Apache-2.0
"""Queries about the outbox: notifications to publish after the commit."""

import collections
from collections.abc import Iterable
import dataclasses
import datetime
from typing import Any

import sqlalchemy as sa

from minova.db import tables
from minova.db import types
from minova.db.connections.engine import Connection

_t = tables.outbox
_INSERT = sa.insert(_t)
_UNPUBLISHED = (
    sa.select(*_t.c)
    .where(_t.c.published_at.is_(None))
    .order_by(_t.c.id)
    .limit(sa.bindparam('the_limit'))
)
_MARK_PUBLISHED = sa.update(_t).where(
    _t.c.id.in_(sa.bindparam('the_ids', expanding=True))
)


@dataclasses.dataclass(frozen=True)
class Notice:
    """One row of the outbox."""

    id: int
    instance_uuid: str
    seq: int
    message_id: str
    operation_id: str | None
    event_type: str
    publisher_id: str
    priority: str
    payload: dict[str, Any]
    context: dict[str, Any]
    created_at: datetime.datetime
    published_at: datetime.datetime | None


def insert(connection: Connection, rows: Iterable[types.Values]) -> None:
    """Insert notifications; the relay publishes them after the commit."""
    connection.execute(_INSERT, list(rows))


def list_unpublished(connection: Connection, limit: int) -> list[Notice]:
    """Return the oldest unpublished rows, each instance's in seq order.

    Row numbers need not be in commit order (Galera numbers per node): the
    predecessor of a row may be behind the end of a full page. Such rows stay
    for the next page.
    """
    values = {'the_limit': limit}
    rows = connection.execute(_UNPUBLISHED, values).mappings()
    notices = [Notice(**row) for row in rows]
    if len(notices) == limit:
        notices = _drop_after_gap(connection, notices)
    return _order_by_seq(notices)


def _order_by_seq(notices: list[Notice]) -> list[Notice]:
    """Sort each instance's rows by seq within the places they occupy."""
    by_seq = sorted(notices, key=lambda notice: notice.seq)
    queues: dict[str, collections.deque[Notice]] = {}
    for notice in by_seq:
        own = queues.setdefault(notice.instance_uuid, collections.deque())
        own.append(notice)
    return [queues[notice.instance_uuid].popleft() for notice in notices]


def _drop_after_gap(
    connection: Connection, notices: list[Notice]
) -> list[Notice]:
    uuids = {notice.instance_uuid for notice in notices}
    rows = connection.execute(
        sa.select(_t.c.instance_uuid, sa.func.min(_t.c.seq))
        .where(_t.c.published_at.is_(None), _t.c.instance_uuid.in_(uuids))
        .group_by(_t.c.instance_uuid)
    )
    due = {row[0]: row[1] for row in rows}
    ready = set()
    for notice in sorted(notices, key=lambda notice: notice.seq):
        if notice.seq == due[notice.instance_uuid]:
            ready.add(notice.id)
            due[notice.instance_uuid] += 1
    return [notice for notice in notices if notice.id in ready]


def mark_published(
    connection: Connection, ids: Iterable[int], moment: datetime.datetime
) -> None:
    """Record that the broker has confirmed these rows."""
    values = {'the_ids': list(ids), 'published_at': moment}
    connection.execute(_MARK_PUBLISHED, values)


def list_by_instance(
    connection: Connection, instance_uuid: str
) -> list[Notice]:
    """Return the notifications of an instance in seq order."""
    rows = connection.execute(
        sa.select(*_t.c)
        .where(_t.c.instance_uuid == instance_uuid)
        .order_by(_t.c.seq)
    ).mappings()
    return [Notice(**row) for row in rows]
