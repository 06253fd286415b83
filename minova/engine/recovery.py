# SPDX-License-Identifier: Apache-2.0
"""Recovery: steps of hosts that are down, operations past their deadline.

The conductor's sweeper calls these functions, one step and one transaction at
a time. ``recovery_rules`` decides; here the decision is carried out. An
operation that must wait records the reason.
"""

import sqlalchemy as sa

from minova import exception
from minova import flows
from minova.db.queries import operations
from minova.engine import operation_log
from minova.engine import recovery_rules
from minova.engine import unwind
from minova.engine import waits
from minova.engine.recovery_rules import AtDeadline
from minova.engine.recovery_rules import WithoutHost
from minova.engine.unit_of_work import UnitOfWork
from minova.exception import serialization
from minova.flows.base import AnyComputeStep
from minova.flows.base import AnyStep
from minova.flows.base import ComputeStep
from minova.notifications import events
from minova.objects import operation as records
from minova.objects.step import Wakeup

# -- a host is down ----------------------------------------------------------


def handle_host_down(
    connection: sa.Connection, step_id: str, why: str, publisher: str
) -> list[Wakeup]:
    """Do what is possible without the host of the step.

    ``why`` is the reason for which the host is taken to be down.
    """
    uow = _open_unit_of_work(connection, step_id, publisher)
    if uow is None:
        return []
    step_def, decision = _decide_without_host(uow)
    if decision is WithoutHost.FINISH:
        _finish_without_host(uow, step_def, why)
    elif decision is WithoutHost.DETACH_UNDO:
        unwind.detach_undo(uow, f'host {uow.step.host} is down ({why})')
        waits.wait_for_host(uow, why)
    elif decision is WithoutHost.UNWIND:
        error = _host_lost(uow, why)
        uow.finish_step(records.PREEMPTED)
        unwind.start(uow, error)
    elif decision is WithoutHost.FAIL:
        unwind.fail_without_host(uow, _host_lost(uow, why))
    else:
        waits.wait_for_host(uow, why)
    return uow.flush()


def _decide_without_host(
    uow: UnitOfWork,
) -> tuple[AnyComputeStep, WithoutHost]:
    """Return the definition of the step, and what can be done."""
    step_def = _step_def(uow)
    assert isinstance(step_def, ComputeStep)
    return step_def, recovery_rules.without_host(
        step_def, uow.step, uow.operation, uow.now
    )


def _finish_without_host(
    uow: UnitOfWork, step_def: AnyComputeStep, why: str
) -> None:
    operation_log.log(
        uow.connection,
        uow.operation,
        f'continues without host {uow.step.host} ({why}); the host does its '
        'part when it returns',
    )
    step_def.finish_without_host(uow)
    uow.finish_step(records.PREEMPTED)


def handle_hypervisor_failure(
    connection: sa.Connection, step_id: str, why: str, publisher: str
) -> list[Wakeup]:
    """Finish an operation that needs no answer of a sick hypervisor."""
    uow = _open_unit_of_work(connection, step_id, publisher)
    if uow is None:
        return []
    step_def, decision = _decide_without_host(uow)
    if decision is WithoutHost.FINISH:
        _finish_without_host(uow, step_def, f'its hypervisor fails: {why}')
    return uow.flush()


def _host_lost(uow: UnitOfWork, why: str) -> exception.HostLost:
    left = 'Nothing was begun there.'
    if uow.step.started_at is not None:
        left = 'What it left is removed when it returns.'
    return exception.HostLost(
        host=uow.step.host, step=f'{uow.step.method} ({why})', left=left
    )


def handle_host_return(
    connection: sa.Connection, step_id: str, publisher: str
) -> None:
    """End the wait for a host that has run the step all the time."""
    loaded = operations.lock_step(connection, step_id)
    if loaded is None or loaded.operation.wait_reason is None:
        return
    if recovery_rules.is_running(loaded.step, loaded.incarnation):
        uow = _unit_of_work(connection, loaded, publisher)
        waits.clear_on_host_return(uow)
        uow.flush()


# -- the deadline has passed -------------------------------------------------


def handle_deadline(
    connection: sa.Connection, step_id: str, is_running: bool, publisher: str
) -> list[Wakeup]:
    """End an operation past its deadline, unless its open step still runs.

    ``is_running`` says that a service which is up runs the step.
    """
    uow = _open_unit_of_work(connection, step_id, publisher)
    if uow is None:
        return []
    step, step_def = uow.step, _step_def(uow)
    decision = recovery_rules.at_deadline(
        step_def, step, uow.operation, is_running
    )
    if decision is AtDeadline.LET_FINISH:
        if uow.operation.wait_reason is None:
            waits.wait_for_end(uow)
        return uow.flush()
    error = _deadline_exceeded(uow)
    if decision is AtDeadline.DETACH_UNDO:
        unwind.detach_undo(uow, str(error))
        return uow.flush()
    uow.finish_step(records.FAILED if step.started_at else records.PREEMPTED)
    if decision in (AtDeadline.GIVE_UP, AtDeadline.KEEP_STATE):
        keeps_state = decision is AtDeadline.KEEP_STATE
        unwind.give_up(uow, error, keeps_state)
    else:
        unwind.start(uow, error)
    return uow.flush()


def _deadline_exceeded(uow: UnitOfWork) -> exception.DeadlineExceeded:
    why = 'was never done'
    if uow.step.error is not None:
        why = f'failed each time: {serialization.decode(uow.step.error)}'
    where = operation_log.describe_step(uow.step)
    return exception.DeadlineExceeded(
        operation=uow.operation.kind, reason=f'{where} {why}'
    )


# -- both --------------------------------------------------------------------


def _open_unit_of_work(
    connection: sa.Connection, step_id: str, publisher: str
) -> UnitOfWork | None:
    """Lock a step; None when it or its operation has ended."""
    loaded = operations.lock_step(connection, step_id)
    if loaded is None or loaded.step.state not in records.OPEN:
        return None
    if loaded.operation.state != records.RUNNING:
        return None
    return _unit_of_work(connection, loaded, publisher)


def _unit_of_work(
    connection: sa.Connection, loaded: operations.LockedStep, publisher: str
) -> UnitOfWork:
    return UnitOfWork.of(
        connection, loaded, events.publisher_id('conductor', publisher)
    )


def _step_def(uow: UnitOfWork) -> AnyStep:
    return flows.get_step(uow.operation.kind, uow.step.method)
