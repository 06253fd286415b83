# SPDX-License-Identifier: Apache-2.0
"""What nobody works on: steps of hosts that are down, operations gone late.

Asked by the conductor's sweeper, one step and one transaction at a time. An
operation that must wait says for what.
"""

import sqlalchemy as sa

from minova import exception
from minova import flows
from minova.db.queries import operations
from minova.engine import operation_log
from minova.engine import unwind
from minova.engine import wait_reason
from minova.engine.unit_of_work import UnitOfWork
from minova.exception import serialization
from minova.flows.base import ComputeStep
from minova.notifications import events
from minova.objects import operation as records
from minova.objects.step import Wakeup


def handle_host_down(
    connection: sa.Connection, step_id: str, why: str, publisher: str
) -> list[Wakeup]:
    """Do what can be done without the host that owes the step.

    ``why`` says why the host is taken to be down.
    """
    loaded = operations.lock_step(connection, step_id)
    if loaded is None or loaded.step.state not in records.OPEN:
        return []
    if loaded.operation.state != records.RUNNING:
        return []
    step, operation = loaded.step, loaded.operation
    uow = _unit_of_work(connection, loaded, publisher)
    step_def = flows.get_step(operation.kind, step.method)
    assert isinstance(step_def, ComputeStep)
    if step.detached or not operation.owns_instance:
        wait_reason.wait_for_host(uow, why)
    elif step_def.on_host_down(uow):
        _finish_without_host(uow, why)
    elif step.undoes is not None and step_def.deferrable:
        unwind.detach_undo(uow, f'host {step.host} is down, {why}')
        wait_reason.wait_for_host(uow, why)
    elif _never_started(step) and not step_def.must_succeed(step):
        _take_from_host(uow, why)
    elif step_def.fail_at_deadline and uow.now > operation.deadline:
        unwind.fail_without_host(uow, _host_lost(uow, why))
    else:
        wait_reason.wait_for_host(uow, why)
    return uow.flush()


def handle_host_return(
    connection: sa.Connection, step_id: str, publisher: str
) -> None:
    """Note that a host which was waited for has had the step all the time."""
    loaded = operations.lock_step(connection, step_id)
    if loaded is None or loaded.operation.wait_reason is None:
        return
    step = loaded.step
    if step.state == records.RUNNING and (
        step.incarnation == loaded.incarnation
    ):
        uow = _unit_of_work(connection, loaded, publisher)
        wait_reason.clear_on_host_return(uow)
        uow.flush()


def _unit_of_work(
    connection: sa.Connection, loaded: operations.LockedStep, publisher: str
) -> UnitOfWork:
    return UnitOfWork.of(
        connection, loaded, events.publisher_id('conductor', publisher)
    )


def _finish_without_host(uow: UnitOfWork, why: str) -> None:
    """End a step that the operation has just been finished without."""
    operation_log.log(
        uow.connection,
        uow.operation,
        f' goes on without host {uow.step.host} ({why}); what is there is '
        'removed when it returns',
    )
    uow.finish_step(records.PREEMPTED)


def _never_started(step: records.Step) -> bool:
    return step.started_at is None and not step.nested


def _take_from_host(uow: UnitOfWork, why: str) -> None:
    """Take the step from a host that has not begun it; it cannot any more."""
    error = _host_lost(uow, why)
    uow.finish_step(records.PREEMPTED)
    unwind.start(uow, error)


def _host_lost(uow: UnitOfWork, why: str) -> exception.HostLost:
    left = 'Nothing was begun there.'
    if uow.step.started_at is not None:
        left = 'What it left is removed when it returns.'
    return exception.HostLost(
        host=uow.step.host, step=f'{uow.step.method} ({why})', left=left
    )


def handle_deadline(
    connection: sa.Connection, step_id: str, is_running: bool, publisher: str
) -> list[Wakeup]:
    """See to an open step of an operation that is past its deadline.

    ``busy`` says that a service which is up has the step at work: it is left
    to end by itself. Otherwise the operation is ended here, taken back if
    that is possible: whoever should have begun the step did not.
    """
    loaded = operations.lock_step(connection, step_id)
    if loaded is None or loaded.step.state not in records.OPEN:
        return []
    operation, step = loaded.operation, loaded.step
    if operation.state != records.RUNNING:
        return []
    uow = _unit_of_work(connection, loaded, publisher)
    where = operation_log.describe_step(step)
    if is_running or step.detached or not operation.owns_instance:
        if operation.wait_reason is None:
            wait_reason.wait_for_end(uow)
        return uow.flush()
    why = 'was never done'
    if step.error is not None:
        why = f'failed each time: {serialization.decode(step.error)}'
    error = exception.DeadlineExceeded(
        operation=operation.kind, reason=f'{where} {why}'
    )
    step_def = flows.get_step(operation.kind, step.method)
    if step.undoes is not None and getattr(step_def, 'deferrable', False):
        unwind.detach_undo(uow, str(error))
        return uow.flush()
    uow.finish_step(records.FAILED if step.started_at else records.PREEMPTED)
    if isinstance(step_def, ComputeStep) and step_def.must_succeed(step):
        unwind.give_up(uow, error)
    else:
        unwind.start(uow, error)
    return uow.flush()
