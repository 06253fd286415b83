# SPDX-License-Identifier: Apache-2.0
"""Queries about migration records: of resizes, migrations and evacuations.

``engine.migration_records`` alone writes a status.
"""

from collections.abc import Mapping
import datetime
from typing import Any

import sqlalchemy as sa

from minova import migration_states
from minova.db import tables
from minova.db import types
from minova.db.connections.engine import Connection
from minova.objects.flavor import Flavor
from minova.objects.migration import Migration

_t = tables.migrations
#: The columns that a compute reports.
_COUNTERS = frozenset(
    f'{kind}_{count}'
    for kind in ('memory', 'disk')
    for count in ('total', 'processed', 'remaining')
)
_INSERT = sa.insert(_t)
_UPDATE = sa.update(_t).where(_t.c.id == sa.bindparam('the_id'))
_GET = sa.select(*_t.c).where(_t.c.id == sa.bindparam('the_id'))
_UNCONFIRMED = (
    sa.select(*_t.c)
    .where(
        _t.c.instance_uuid == sa.bindparam('the_instance'),
        _t.c.status == migration_states.FINISHED,
    )
    .order_by(_t.c.id.desc())
)
_OF_OPERATION = sa.select(*_t.c).where(
    _t.c.operation_id == sa.bindparam('operation_id')
)


def from_row(row: sa.RowMapping) -> Migration:
    """Return the migration of a row with all columns."""
    values = dict(row)
    for name in ('old_flavor', 'new_flavor'):
        values[name] = Flavor.from_dict(values[name])
    return Migration(**values)


def insert(connection: Connection, values: types.Values) -> int:
    """Insert a migration; return its row number."""
    result = connection.execute(_INSERT, _columns(values))
    number = result.inserted_primary_key
    assert number is not None
    return int(number[0])


def update(
    connection: Connection, migration_id: int, values: types.Values
) -> None:
    """Change columns of a migration other than its status."""
    if 'status' in values:
        raise ValueError('The status is changed with update_status')
    connection.execute(_UPDATE, _columns(values) | {'the_id': migration_id})


def update_status(
    connection: Connection,
    migration_id: int,
    old_status: str,
    new_status: str,
    moment: datetime.datetime,
) -> bool:
    """Change the status of a migration; False when another one is there."""
    result = connection.execute(
        sa.update(_t)
        .where(_t.c.id == migration_id, _t.c.status == old_status)
        .values(status=new_status, updated_at=moment)
    )
    return result.rowcount == 1


def update_progress(
    connection: Connection,
    migration_id: int,
    host: str,
    counters: Mapping[str, int],
    progress: int,
) -> None:
    """Record the progress of a running migration, also in its instance.

    Only the source ``host`` of the migration may. ``counters`` are bytes by
    column name, ``progress`` is in percent.
    """
    known = {
        name: int(counters[name]) for name in counters if name in _COUNTERS
    }
    # 'running' is the status of a live migration, 'migrating' of a resize.
    running = (
        _t.c.id == migration_id,
        _t.c.source_host == host,
        _t.c.status.in_(migration_states.COPYING),
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


def _columns(values: types.Values) -> dict[str, Any]:
    return {
        name: value.as_dict() if isinstance(value, Flavor) else value
        for name, value in values.items()
    }


def get(connection: Connection, migration_id: int) -> Migration | None:
    """Return the migration with this row number, None if unknown."""
    row = connection.execute(_GET, {'the_id': migration_id}).mappings().first()
    return from_row(row) if row else None


def get_by_operation(
    connection: Connection, operation_id: str
) -> Migration | None:
    """Return the migration of an operation, None if it has none."""
    values = {'operation_id': operation_id}
    row = connection.execute(_OF_OPERATION, values).mappings().first()
    return from_row(row) if row else None


def get_unconfirmed(
    connection: Connection, instance_uuid: str
) -> Migration | None:
    """Return an instance's newest migration that can be confirmed."""
    values = {'the_instance': instance_uuid}
    row = connection.execute(_UNCONFIRMED, values).mappings().first()
    return from_row(row) if row else None


def list_evacuations(connection: Connection) -> list[Migration]:
    """Return the evacuations that have not ended."""
    rows = connection.execute(
        sa.select(*_t.c)
        .where(
            _t.c.kind == migration_states.EVACUATION,
            _t.c.status.in_(migration_states.UNFINISHED),
        )
        .order_by(_t.c.id)
    ).mappings()
    return [from_row(row) for row in rows]


def list_unconfirmed(
    connection: Connection, moment: datetime.datetime
) -> list[Migration]:
    """Return the migrations that are unconfirmed since ``moment``."""
    rows = connection.execute(
        sa.select(*_t.c)
        .where(
            _t.c.status == migration_states.FINISHED, _t.c.updated_at <= moment
        )
        .order_by(_t.c.id)
    ).mappings()
    return [from_row(row) for row in rows]
