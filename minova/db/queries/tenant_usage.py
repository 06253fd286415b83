# SPDX-License-Identifier: Apache-2.0
"""The servers of projects in a period, for their usage.

Deleted servers count, also archived ones; only a purge removes them. Each page
is one statement over both tables, so that it misses no server that is archived
meanwhile.
"""

from collections.abc import Sequence
import dataclasses
import datetime
from typing import Any
from typing import Final

import sqlalchemy as sa

from minova import exception
from minova.db import tables
from minova.db import types
from minova.db.connections.engine import Connection
from minova.db.queries import paging

_TABLES: Final = (tables.instances, tables.archived_instances)
#: The order of the servers: a page has those of few projects.
_ORDER: Final = ('project_id', 'uuid')
_COLUMNS: Final = (
    *_ORDER,
    'display_name',
    'vm_state',
    'flavor',
    'launched_at',
    'terminated_at',
)


@dataclasses.dataclass(frozen=True)
class UsedServer:
    """What the usage of a server is made of."""

    project_id: str
    uuid: str
    display_name: str
    vm_state: str
    flavor: dict[str, Any]
    launched_at: datetime.datetime
    terminated_at: datetime.datetime | None


def list_page(
    connection: Connection,
    begin: datetime.datetime,
    end: datetime.datetime,
    project_id: str | None,
    limit: int,
    marker: str | None = None,
) -> list[UsedServer]:
    """Return the next servers that existed between two times.

    A server exists from its launch to its deletion. ``project_id`` None: of
    all projects. InvalidInput when no server has the uuid ``marker``.
    """
    after = None
    if marker is not None:
        after = _find_place(connection, marker, project_id)
    # Each half has its own limit: not every database applies the outer limit
    # to both.
    halves = [
        sa.select(*(table.c[name] for name in _COLUMNS))
        .where(*_conditions(table, begin, end, project_id, after))
        .order_by(*(table.c[name] for name in _ORDER))
        .limit(limit)
        .subquery()
        .select()
        for table in _TABLES
    ]
    both = sa.union_all(*halves)
    rows = connection.execute(
        both.order_by(*(both.selected_columns[name] for name in _ORDER)).limit(
            limit
        )
    ).mappings()
    return [UsedServer(**row) for row in rows]


def _conditions(
    table: sa.Table,
    begin: datetime.datetime,
    end: datetime.datetime,
    project_id: str | None,
    after: Sequence[object] | None,
) -> list[types.Condition]:
    found = [
        table.c.launched_at < end,
        sa.or_(table.c.terminated_at.is_(None), table.c.terminated_at > begin),
    ]
    if project_id is not None:
        found.append(table.c.project_id == project_id)
    if after is not None:
        columns = [table.c[name] for name in _ORDER]
        found.append(paging.after_values(columns, after))
    return found


def _find_place(
    connection: Connection, marker: str, project_id: str | None
) -> tuple[str, str]:
    """Return the place of a server in the order."""
    for table in _TABLES:
        query = sa.select(*(table.c[name] for name in _ORDER)).where(
            table.c.uuid == marker
        )
        if project_id is not None:
            query = query.where(table.c.project_id == project_id)
        row = connection.execute(query).first()
        if row is not None:
            return row[0], row[1]
    raise exception.InvalidInput(f'marker [{marker}] not found')
