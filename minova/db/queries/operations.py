# SPDX-License-Identifier: Apache-2.0
"""Queries about operations and their steps."""

from collections.abc import Iterable
import dataclasses
import datetime
from typing import Any

import sqlalchemy as sa

from minova.db import tables
from minova.db import types
from minova.db.connections.engine import Connection
from minova.db.queries import instances
from minova.objects import operation as records
from minova.objects.instance import Instance
from minova.objects.operation import Operation
from minova.objects.operation import Step

_i = tables.instances
_o = tables.operations
_s = tables.steps
_v = tables.services

COMPUTE_BINARY = 'nova-compute'


@dataclasses.dataclass(frozen=True)
class LockedStep:
    """A step with its operation and instance; the three rows are locked.

    ``incarnation`` is the current one of the compute on the step's host,
    ``blocking_step`` an older open step of another operation of the same
    instance there, ``last_number`` the highest step number of the operation.
    """

    step: Step
    operation: Operation
    instance: Instance
    incarnation: str | None
    blocking_step: str | None
    last_number: int


def _select_blocking_step() -> sa.ScalarSelect[Any]:
    other = _s.alias('other')
    return (
        sa.select(other.c.id)
        .where(
            other.c.instance_uuid == _s.c.instance_uuid,
            other.c.host == _s.c.host,
            other.c.operation_id != _s.c.operation_id,
            other.c.state.in_(records.OPEN),
            other.c.created_at < _s.c.created_at,
            other.c.method.not_in(records.UNBLOCKING_METHODS),
        )
        .order_by(other.c.created_at)
        .limit(1)
        .correlate(_s)
        .scalar_subquery()
    )


_siblings = _s.alias('every')
_BLOCKING_STEP = _select_blocking_step().label('blocking_step')
_INCARNATION = (
    sa.select(_v.c.incarnation)
    .where(_v.c.binary == COMPUTE_BINARY, _v.c.host == _s.c.host)
    .correlate(_s)
    .scalar_subquery()
    .label('current_incarnation')
)
_LAST_NUMBER = (
    sa.select(sa.func.max(_siblings.c.number))
    .where(_siblings.c.operation_id == _s.c.operation_id)
    .correlate(_s)
    .scalar_subquery()
    .label('last_number')
)
_LOCK_STEP = (
    sa.select(*_s.c, *_o.c, *_i.c, _INCARNATION, _BLOCKING_STEP, _LAST_NUMBER)
    .join(_o, _o.c.id == _s.c.operation_id)
    .join(_i, _i.c.uuid == _s.c.instance_uuid)
    .where(_s.c.id == sa.bindparam('step_id'))
    .with_for_update(of=(_s, _o, _i))
)
_INSERT = sa.insert(_o)
_UPDATE = sa.update(_o).where(_o.c.id == sa.bindparam('the_id'))
_INSERT_STEPS = sa.insert(_s)
_FENCED = sa.update(_s).where(
    _s.c.id == sa.bindparam('the_id'),
    _s.c.state == sa.bindparam('read_state'),
)
_UPDATE_RUNNING = _FENCED.where(
    _s.c.incarnation == sa.bindparam('read_incarnation')
)
_UPDATE_PENDING = _FENCED.where(_s.c.incarnation.is_(None))
_GET = sa.select(*_o.c).where(_o.c.id == sa.bindparam('the_id'))
_LOCK = _GET.with_for_update()
_STEPS_OF = (
    sa.select(*_s.c)
    .where(_s.c.operation_id == sa.bindparam('the_operation'))
    .order_by(_s.c.number)
)
_OPEN_STEPS = (
    sa.select(*_s.c)
    .where(_s.c.state.in_(records.OPEN))
    .order_by(_s.c.created_at, _s.c.number)
)
_OPEN_STEPS_ON_HOST = _OPEN_STEPS.where(
    _s.c.topic == 'compute', _s.c.host == sa.bindparam('the_host')
)
_OPEN_STEPS_OF_INSTANCE = _OPEN_STEPS.where(
    _s.c.instance_uuid == sa.bindparam('the_instance')
)
_CLOSE_STEPS = sa.update(_s).where(
    _s.c.operation_id == sa.bindparam('the_operation'),
    _s.c.state.in_(records.OPEN),
)
_CLOSE_EVENTS = sa.update(_s).where(
    _s.c.operation_id == sa.bindparam('the_operation')
)
_WAITING = sa.select(_o.c.id).where(
    _o.c.state == records.RUNNING, _o.c.wait_reason.is_not(None)
)
_OVERDUE = (
    sa.select(*_o.c)
    .where(
        _o.c.state == records.RUNNING,
        _o.c.deadline < sa.bindparam('moment', type_=_o.c.deadline.type),
    )
    .order_by(_o.c.deadline)
)


def lock_step(connection: Connection, step_id: str) -> LockedStep | None:
    """Lock a step with its operation and instance; None if unknown."""
    row = connection.execute(_LOCK_STEP, {'step_id': step_id}).first()
    if row is None:
        return None
    values = iter(row)
    step, operation, instance = (
        {column.name: next(values) for column in table.c}
        for table in (_s, _o, _i)
    )
    incarnation, blocking_step, last_number = values
    return LockedStep(
        step=Step(**step),
        operation=Operation(**operation),
        instance=instances.from_row(instance),
        incarnation=incarnation,
        blocking_step=blocking_step,
        last_number=last_number,
    )


def update_progress(
    connection: Connection, step_id: str, host: str, percent: int
) -> None:
    """Write the progress of a running step to the instance that it owns."""
    running = (
        _s.c.id == step_id,
        _s.c.host == host,
        _s.c.state == records.RUNNING,
    )
    connection.execute(
        sa.update(_i)
        .where(
            _i.c.task_id
            == sa.select(_s.c.operation_id).where(*running).scalar_subquery()
        )
        .values(progress=percent)
    )


def get(
    connection: Connection, operation_id: str, lock: bool = False
) -> Operation | None:
    """Return an operation, None if unknown; ``lock`` locks its row."""
    query = _LOCK if lock else _GET
    row = connection.execute(query, {'the_id': operation_id}).mappings()
    found = row.first()
    return Operation(**found) if found else None


def _operations(
    connection: Connection, query: types.Query, **values: object
) -> list[Operation]:
    rows = connection.execute(query, values).mappings()
    return [Operation(**row) for row in rows]


def list_steps(connection: Connection, operation_id: str) -> list[Step]:
    """Return the steps of an operation in the order of their numbers."""
    return _steps(connection, _STEPS_OF, the_operation=operation_id)


def _steps(
    connection: Connection, query: types.Query, **values: str
) -> list[Step]:
    rows = connection.execute(query, values).mappings()
    return [Step(**row) for row in rows]


def insert(connection: Connection, operation: Operation) -> None:
    """Insert an operation."""
    connection.execute(_INSERT, vars(operation))


def update(
    connection: Connection, operation_id: str, values: types.Values
) -> None:
    """Change an operation whose row is locked."""
    connection.execute(_UPDATE, {**values, 'the_id': operation_id})


def insert_steps(connection: Connection, steps: Iterable[Step]) -> None:
    """Insert steps."""
    connection.execute(_INSERT_STEPS, [vars(step) for step in steps])


def update_step(
    connection: Connection,
    step: Step,
    values: types.Values,
) -> bool:
    """Change a step if its state and incarnation are as they were read.

    This comparison is the fence: False means that nothing was written.
    """
    known = {'the_id': step.id, 'read_state': step.state}
    statement = _UPDATE_PENDING
    if step.incarnation is not None:
        statement = _UPDATE_RUNNING
        known['read_incarnation'] = step.incarnation
    result = connection.execute(statement, {**values, **known})
    return result.rowcount == 1


def close_open_steps(
    connection: Connection,
    operation_id: str,
    state: str,
    moment: datetime.datetime,
) -> None:
    """Close the open steps and events of an operation in ``state``."""
    known = {'the_operation': operation_id}
    ended = {'state': state, 'finished_at': moment}
    connection.execute(_CLOSE_STEPS, known | ended)
    connection.execute(_CLOSE_EVENTS, {**known, 'open_events': []})


def list_open_steps_on_host(connection: Connection, host: str) -> list[Step]:
    """Return the open steps of a compute, oldest first."""
    return _steps(connection, _OPEN_STEPS_ON_HOST, the_host=host)


def count_open_steps_by_host(connection: Connection) -> dict[str, int]:
    """Return the number of open steps of each compute that has some."""
    rows = connection.execute(
        sa.select(_s.c.host, sa.func.count())
        .where(_s.c.state.in_(records.OPEN), _s.c.topic == 'compute')
        .group_by(_s.c.host)
    )
    return {row[0]: row[1] for row in rows}


def list_open_steps(connection: Connection) -> list[Step]:
    """Return the open steps of all operations, oldest first."""
    return _steps(connection, _OPEN_STEPS)


def list_open_steps_of_instance(
    connection: Connection, instance_uuid: str
) -> list[Step]:
    """Return the open steps of all operations of an instance, oldest first."""
    return _steps(
        connection, _OPEN_STEPS_OF_INSTANCE, the_instance=instance_uuid
    )


def list_by_id_or_request(
    connection: Connection, id_or_request: str
) -> list[Operation]:
    """Return the operations with this id or begun by this request id."""
    return _operations(
        connection,
        sa.select(*_o.c)
        .where(
            sa.or_(_o.c.id == id_or_request, _o.c.request_id == id_or_request)
        )
        .order_by(_o.c.started_at, _o.c.id),
    )


def list_operations(
    connection: Connection,
    limit: int,
    ended: bool = False,
    waiting: bool = False,
    host: str | None = None,
    instance_uuid: str | None = None,
) -> list[Operation]:
    """Return at most ``limit`` running operations, oldest first.

    ``ended`` includes the ended ones and returns all newest first,
    ``waiting`` restricts them to those with a wait reason, ``host`` to those
    with a step there: an open one, or with ``ended`` any.
    """
    query = sa.select(*_o.c)
    on_host = [_s.c.operation_id == _o.c.id, _s.c.host == host]
    if ended:
        query = query.order_by(_o.c.started_at.desc(), _o.c.id.desc())
    else:
        query = query.where(_o.c.state == records.RUNNING)
        query = query.order_by(_o.c.started_at, _o.c.id)
        on_host.append(_s.c.state.in_(records.OPEN))
    if waiting:
        query = query.where(_o.c.wait_reason.is_not(None))
    if host is not None:
        query = query.where(sa.exists().where(*on_host))
    if instance_uuid is not None:
        query = query.where(_o.c.instance_uuid == instance_uuid)
    return _operations(connection, query.limit(limit))


def list_open_steps_by_operation(
    connection: Connection, operation_ids: Iterable[str]
) -> dict[str, list[Step]]:
    """Return the open steps of operations, by the operations' ids."""
    rows = connection.execute(
        sa.select(*_s.c)
        .where(
            _s.c.operation_id.in_(list(operation_ids)),
            _s.c.state.in_(records.OPEN),
        )
        .order_by(_s.c.number)
    ).mappings()
    found: dict[str, list[Step]] = {}
    for row in rows:
        found.setdefault(row['operation_id'], []).append(Step(**row))
    return found


def list_waiting_ids(connection: Connection) -> set[str]:
    """Return the ids of the running operations with a wait reason."""
    return set(connection.execute(_WAITING).scalars())


def list_overdue(
    connection: Connection, moment: datetime.datetime
) -> list[Operation]:
    """Return the running operations with a deadline before ``moment``."""
    return _operations(connection, _OVERDUE, moment=moment)


def list_by_instance(
    connection: Connection, instance_uuid: str
) -> list[Operation]:
    """Return all operations of an instance, newest first."""
    return _operations(
        connection,
        sa.select(*_o.c)
        .where(_o.c.instance_uuid == instance_uuid)
        .order_by(_o.c.started_at.desc(), _o.c.generation.desc()),
    )
