# SPDX-License-Identifier: Apache-2.0
"""Queries about the records of moves, which the API calls migrations."""

from collections.abc import Mapping
import datetime
from typing import Any
from typing import Final

import sqlalchemy as sa

from minova.db import tables
from minova.db.engine import Connection
from minova.objects.flavor import Flavor
from minova.objects.migration import Migration

_t = tables.migrations
#: A move in one of these is over.
OVER: Final = (
    'confirmed',
    'reverted',
    'completed',
    'cancelled',
    'error',
    'failed',
)
#: A move in one of these needs both its hosts.
GOING_ON: Final = (
    'queued',
    'preparing',
    'running',
    'pre-migrating',
    'migrating',
    'post-migrating',
    'finished',
    'confirming',
    'reverting',
)

_INSERT = sa.insert(_t)
_UPDATE = sa.update(_t).where(_t.c.id == sa.bindparam('the_id'))
_GET = sa.select(*_t.c).where(_t.c.id == sa.bindparam('the_id'))
_FINISHED = (
    sa.select(*_t.c)
    .where(
        _t.c.instance_uuid == sa.bindparam('the_instance'),
        _t.c.status == 'finished',
    )
    .order_by(_t.c.id.desc())
)
_OF_OPERATION = sa.select(*_t.c).where(
    _t.c.operation_id == sa.bindparam('operation_id')
)


def of_row(row: Mapping[Any, Any]) -> Migration:
    """Return the object that a row stands for."""
    values = dict(row)
    for name in ('old_flavor', 'new_flavor'):
        values[name] = Flavor.of(values[name])
    return Migration(**values)


def insert(connection: Connection, values: Mapping[str, Any]) -> int:
    """Write a new record; return its number."""
    result = connection.execute(_INSERT, _columns(values))
    number = result.inserted_primary_key
    assert number is not None
    return int(number[0])


def update(
    connection: Connection, number: int, values: Mapping[str, Any]
) -> None:
    """Change a record."""
    connection.execute(_UPDATE, _columns(values) | {'the_id': number})


def note_progress(
    connection: Connection,
    number: int,
    figures: Mapping[str, int],
    progress: int,
) -> None:
    """Note how far a move is, while it runs."""
    known = {name: figures[name] for name in figures if name in _t.c}
    # Live, and with a restart.
    running = (
        _t.c.id == number,
        _t.c.status.in_(('running', 'migrating')),
    )
    connection.execute(sa.update(_t).where(*running).values(**known))
    instance = tables.instances
    connection.execute(
        sa.update(instance)
        .where(
            instance.c.uuid
            == sa.select(_t.c.instance_uuid).where(*running).scalar_subquery(),
            instance.c.task_state == 'migrating',
        )
        .values(progress=progress)
    )


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.as_dict() if isinstance(value, Flavor) else value
        for name, value in values.items()
    }


def get(connection: Connection, number: int) -> Migration | None:
    """Return the record of that number, None when there is none."""
    row = connection.execute(_GET, {'the_id': number}).mappings().first()
    return of_row(row) if row else None


def of_operation(
    connection: Connection, operation_id: str
) -> Migration | None:
    """Return the record that an operation keeps, None when it keeps none."""
    values = {'operation_id': operation_id}
    row = connection.execute(_OF_OPERATION, values).mappings().first()
    return of_row(row) if row else None


def finished(connection: Connection, instance_uuid: str) -> Migration | None:
    """Return the newest move that waits to be confirmed or reverted."""
    values = {'the_instance': instance_uuid}
    row = connection.execute(_FINISHED, values).mappings().first()
    return of_row(row) if row else None


def finished_before(
    connection: Connection, moment: datetime.datetime
) -> list[Migration]:
    """Return the moves that have waited for a confirmation since then."""
    rows = connection.execute(
        sa.select(*_t.c)
        .where(_t.c.status == 'finished', _t.c.updated_at <= moment)
        .order_by(_t.c.id)
    ).mappings()
    return [of_row(row) for row in rows]
