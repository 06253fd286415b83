# SPDX-License-Identifier: Apache-2.0
"""The history of servers: migrations and actions as the API lists them."""

from collections.abc import Mapping
import datetime
from typing import Final

import sqlalchemy as sa

from minova import exception
from minova import migration_states
from minova.db import tables
from minova.db import types
from minova.db.connections.engine import Connection
from minova.db.queries import migrations
from minova.db.queries import paging
from minova.objects.migration import Migration
from minova.objects.operation import Operation
from minova.objects.operation import Step

_i = tables.instances
_m = tables.migrations
_o = tables.operations
_s = tables.steps

# -- migrations --------------------------------------------------------------

#: The filters of the list of migrations, by the names of the API.
_MIGRATION_FILTERS: Final = {
    'status': _m.c.status,
    'migration_type': _m.c.kind,
    'source_compute': _m.c.source_host,
    'instance_uuid': _m.c.instance_uuid,
    'user_id': _m.c.user_id,
    'project_id': _m.c.project_id,
}


def list_migrations(
    connection: Connection,
    filters: Mapping[str, str | datetime.datetime],
    limit: int,
    marker: str | None = None,
    project_id: str | None = None,
) -> list[Migration]:
    """Return the migrations that match all filters, newest first.

    ``project_id`` hides those of servers of other projects; the filter of
    that name is about the requester. Raises InvalidInput for an unknown
    ``marker``, the uuid of a migration.
    """
    keys = (
        paging.SortKey(_m.c.created_at, descending=True),
        paging.SortKey(_m.c.id, descending=True),
    )
    visible: list[types.Condition] = []
    if project_id is not None:
        own = sa.select(_i.c.uuid).where(_i.c.project_id == project_id)
        visible = [_m.c.instance_uuid.in_(own)]
    conditions = visible + [
        column == filters[name]
        for name, column in _MIGRATION_FILTERS.items()
        if name in filters
    ]
    conditions += _changed_between(filters, _m.c.updated_at, _m.c.created_at)
    if 'host' in filters:
        host = filters['host']
        conditions.append(
            sa.or_(_m.c.source_host == host, _m.c.dest_host == host)
        )
    if marker is not None:
        after = paging.after_marker(
            connection, keys, *visible, _m.c.uuid == marker
        )
        if after is None:
            raise exception.InvalidInput(f'Marker {marker} not found.')
        conditions.append(after)
    rows = connection.execute(
        sa.select(*_m.c)
        .where(*conditions)
        .order_by(*paging.order_by(keys))
        .limit(limit)
    ).mappings()
    return [migrations.from_row(row) for row in rows]


def list_live_migrations(
    connection: Connection, instance_uuid: str
) -> list[Migration]:
    """Return the live migrations in progress of a server."""
    rows = connection.execute(
        sa.select(*_m.c)
        .where(
            _m.c.instance_uuid == instance_uuid,
            _m.c.kind == migration_states.LIVE_MIGRATION,
            _m.c.status.in_(migration_states.LIVE_IN_PROGRESS),
        )
        .order_by(_m.c.id)
    ).mappings()
    return [migrations.from_row(row) for row in rows]


def _changed_between(
    filters: Mapping[str, str | datetime.datetime],
    updated: types.Column,
    created: types.Column,
) -> list[types.Condition]:
    touched = sa.func.coalesce(updated, created)
    found: list[types.Condition] = []
    if 'changes-since' in filters:
        found.append(touched >= filters['changes-since'])
    if 'changes-before' in filters:
        found.append(touched <= filters['changes-before'])
    return found


# -- actions -----------------------------------------------------------------


def list_actions(
    connection: Connection,
    instance_uuid: str,
    filters: Mapping[str, datetime.datetime],
    limit: int | None = None,
    marker: str | None = None,
) -> list[Operation]:
    """Return the operations of a server, newest first.

    Raises InvalidInput for an unknown ``marker``, a request id.
    """
    keys = (
        paging.SortKey(_o.c.started_at, descending=True),
        paging.SortKey(_o.c.generation, descending=True),
        paging.SortKey(_o.c.id, descending=True),
    )
    own = _o.c.instance_uuid == instance_uuid
    conditions = [
        own,
        *_changed_between(filters, _o.c.updated_at, _o.c.started_at),
    ]
    if marker is not None:
        after = paging.after_marker(
            connection, keys, own, _o.c.request_id == marker
        )
        if after is None:
            raise exception.InvalidInput(
                f'Invalid input for query parameter marker: no action of the '
                f'server has the request id {marker}.'
            )
        conditions.append(after)
    rows = connection.execute(
        sa.select(*_o.c)
        .where(*conditions)
        .order_by(*paging.order_by(keys))
        .limit(limit)
    ).mappings()
    return [Operation(**row) for row in rows]


def get_action(
    connection: Connection, instance_uuid: str, request_id: str
) -> tuple[Operation, list[Step]] | None:
    """Return the operation that a request began, with its steps."""
    row = (
        connection.execute(
            sa.select(*_o.c)
            .where(
                _o.c.instance_uuid == instance_uuid,
                _o.c.request_id == request_id,
            )
            .order_by(_o.c.started_at)
        )
        .mappings()
        .first()
    )
    if row is None:
        return None
    steps = connection.execute(
        sa.select(*_s.c)
        .where(_s.c.operation_id == row['id'])
        .order_by(_s.c.number)
    ).mappings()
    return Operation(**row), [Step(**step) for step in steps]
