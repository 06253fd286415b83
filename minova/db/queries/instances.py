# SPDX-License-Identifier: Apache-2.0
"""Queries about instances and their faults."""

from collections.abc import Iterable
import datetime
import functools
from typing import Any

import sqlalchemy as sa

from minova import exception
from minova import states
from minova.db import tables
from minova.db import types
from minova.db.connections.engine import Connection
from minova.objects.flavor import Flavor
from minova.objects.instance import Instance
from minova.objects.instance import InstanceState

_t = tables.instances
_COLUMNS = tuple(_t.c)
_FLAVOR_COLUMNS = ('flavor_id', 'vcpus', 'memory_mb')

# The statements of frequent transactions are compiled once; the names of the
# values passed with them select the columns to set.
_INSERT = sa.insert(_t)
_FENCED = sa.update(_t).where(
    _t.c.uuid == sa.bindparam('the_uuid'),
    _t.c.generation == sa.bindparam('read_generation'),
)
_UPDATE_OWNED = _FENCED.where(_t.c.task_id == sa.bindparam('read_task_id'))
_UPDATE_FREE = _FENCED.where(_t.c.task_id.is_(None))
_ADD_FAULT = sa.insert(tables.faults)
_STATES_ON_HOST = sa.select(
    _t.c.uuid,
    _t.c.vm_state,
    _t.c.power_state,
    _t.c.generation,
    _t.c.task_id,
).where(_t.c.host == sa.bindparam('the_host'), _t.c.vm_state != states.DELETED)


def from_row(values: dict[str, Any]) -> Instance:
    """Return the instance of a row with all columns."""
    # The flavor has these too; the columns are for queries.
    for name in _FLAVOR_COLUMNS:
        del values[name]
    values['flavor'] = Flavor.from_dict(values['flavor'])
    return Instance(**values)


def to_columns(values: types.Values) -> dict[str, Any]:
    """Convert fields of an instance to column values."""
    columns = dict(values)
    if 'flavor' in columns:
        flavor = columns['flavor']
        columns |= {
            'flavor_id': flavor.id,
            'flavor': flavor.as_dict(),
            'vcpus': flavor.vcpus,
            'memory_mb': flavor.memory_mb,
        }
    return columns


def get(
    connection: Connection,
    uuid: str,
    project_id: str | None = None,
    lock: bool = False,
    deleted: bool = False,
) -> Instance | None:
    """Return an instance, None if it is unknown or hidden.

    ``project_id`` hides the instances of other projects, ``deleted`` includes
    deleted ones, ``lock`` locks the row until the transaction ends.
    """
    query = _one(project_id is not None, lock, deleted)
    values = {'the_uuid': uuid}
    if project_id is not None:
        values['the_project'] = project_id
    row = connection.execute(query, values).mappings().first()
    return from_row(dict(row)) if row else None


@functools.cache
def _one(of_project: bool, lock: bool, deleted: bool) -> types.Query:
    query = sa.select(*_COLUMNS).where(_t.c.uuid == sa.bindparam('the_uuid'))
    if of_project:
        query = query.where(_t.c.project_id == sa.bindparam('the_project'))
    if not deleted:
        query = query.where(_t.c.vm_state != states.DELETED)
    return query.with_for_update() if lock else query


def insert(connection: Connection, values: types.Values) -> int:
    """Insert an instance; return its row number."""
    result = connection.execute(_INSERT, to_columns(values))
    number = result.inserted_primary_key
    assert number is not None
    return int(number[0])


def update(
    connection: Connection,
    uuid: str,
    values: types.Values,
    generation: int,
    task_id: str | None,
) -> bool:
    """Change an instance if it still has this generation and owner.

    This comparison is the fence: False means that another operation owns the
    instance now and that nothing was written.
    """
    known = {'the_uuid': uuid, 'read_generation': generation}
    statement = _UPDATE_FREE
    if task_id is not None:
        statement = _UPDATE_OWNED
        known['read_task_id'] = task_id
    result = connection.execute(statement, to_columns(values) | known)
    return result.rowcount == 1


def set_zone_on_host(connection: Connection, host: str, zone: str) -> None:
    """Give the instances of a host its availability zone."""
    connection.execute(
        sa.update(_t)
        .where(
            _t.c.host == host,
            _t.c.vm_state != states.DELETED,
            _t.c.availability_zone != zone,
        )
        .values(availability_zone=zone)
    )


def list_states_on_host(
    connection: Connection, host: str
) -> list[InstanceState]:
    """Return the instances of a host as power synchronization needs them."""
    rows = connection.execute(_STATES_ON_HOST, {'the_host': host})
    return [
        InstanceState(
            uuid=row.uuid,
            vm_state=row.vm_state,
            power_state=row.power_state,
            generation=row.generation,
            is_busy=row.task_id is not None,
        )
        for row in rows
    ]


def list_soft_deleted(
    connection: Connection, before: datetime.datetime
) -> list[str]:
    """Return the instances that were soft-deleted until ``before``.

    Only those without an operation, the oldest first.
    """
    query = (
        sa.select(_t.c.uuid)
        .where(
            _t.c.vm_state == states.SOFT_DELETE,
            _t.c.task_id.is_(None),
            _t.c.deleted_at <= before,
        )
        .order_by(_t.c.deleted_at)
    )
    return [str(uuid) for uuid in connection.scalars(query)]


def list_shelved(
    connection: Connection, before: datetime.datetime
) -> list[str]:
    """Return the instances that were shelved until ``before``.

    Only those on a host and without an operation.
    """
    query = sa.select(_t.c.uuid).where(
        _t.c.vm_state == states.SHELVED,
        _t.c.task_id.is_(None),
        _t.c.shelved_at <= before,
    )
    return [str(uuid) for uuid in connection.scalars(query)]


def add_fault(
    connection: Connection,
    uuid: str,
    operation_id: str | None,
    error: exception.MinovaException,
    host: str | None,
    moment: datetime.datetime,
) -> None:
    """Record why an operation failed; the API shows it to the user."""
    connection.execute(
        _ADD_FAULT,
        {
            'instance_uuid': uuid,
            'operation_id': operation_id,
            'code': error.fault_code,
            'message': str(error),
            'details': None,
            'host': host,
            'created_at': moment,
        },
    )


def get_latest_faults(
    connection: Connection, uuids: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """Return the newest fault of each instance that has one, by uuid."""
    t = tables.faults
    newest = (
        sa.select(sa.func.max(t.c.id))
        .where(t.c.instance_uuid.in_(list(uuids)))
        .group_by(t.c.instance_uuid)
    )
    rows = connection.execute(
        sa.select(*t.c).where(t.c.id.in_(newest))
    ).mappings()
    return {row['instance_uuid']: dict(row) for row in rows}
