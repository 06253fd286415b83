# SPDX-License-Identifier: Apache-2.0
"""Unwinding: a failed operation is rolled back, the newest step first.

The work of a host is undone by a further step of that host, so that an undo
survives crashes like any step. The work of a conductor is undone at once.
"""

from minova import exception
from minova import flows
from minova import migration_states
from minova.engine import operation_log
from minova.engine.unit_of_work import UnitOfWork
from minova.exception import serialization
from minova.flows.base import ComputeStep
from minova.objects import operation as records


def start(
    uow: UnitOfWork,
    error: exception.MinovaException,
    reason: str | None = None,
) -> None:
    """Begin to roll the operation back; ``reason`` is for the log."""
    operation = uow.operation
    _log(uow, f'rolls back: {reason or error}')
    operation.error = serialization.encode(error)
    operation.unwinding = True
    _fence_open_steps(uow)
    proceed(uow)


def proceed(uow: UnitOfWork) -> None:
    """Undo the newest step that is left, or enqueue the step that does."""
    for step in reversed(uow.steps()):
        is_undo = step.undoes is not None or step.detached
        if is_undo or step.state not in (records.DONE, records.FAILED):
            continue
        step_def = flows.get_step(uow.operation.kind, step.method)
        if isinstance(step_def, ComputeStep) and step_def.undo is not None:
            uow.enqueue(
                step_def.undo,
                step.args,
                host=step.host,
                undoes=step.id,
                checkpoints=step.checkpoints,
            )
            return
        _mark_undone(uow, step)
    assert uow.operation.error is not None
    error = serialization.decode(uow.operation.error)
    flows.FLOWS[uow.operation.kind].on_unwound(uow, error)


def finish_undo(uow: UnitOfWork, step_id: str) -> None:
    """Record that a host has undone a step, and undo the next one."""
    _mark_undone(uow, _find(uow, step_id))
    proceed(uow)


def detach_undo(uow: UnitOfWork, why: str) -> None:
    """Finish the operation before its undo step, and log ``why``.

    The step stays pending; it removes something that harms nothing meanwhile.
    Its spans end now: an attempt at another host may begin the same ones.
    """
    assert uow.step.undoes is not None
    assert uow.operation.error is not None
    for event in list(uow.step.open_events):
        uow.emit_error(event, serialization.decode(uow.operation.error))
    _log(
        uow,
        f'continues without {operation_log.describe_step(uow.step)}: {why}',
    )
    uow.step.detached = True
    finish_undo(uow, uow.step.undoes)


def fail_without_host(
    uow: UnitOfWork, error: exception.MinovaException
) -> None:
    """Fail although a host is down; the host cleans up when it returns."""
    operation, step = uow.operation, uow.step
    operation.error = serialization.encode(error)
    step_def = flows.get_step(operation.kind, step.method)
    assert isinstance(step_def, ComputeStep)
    _log(uow, f'stops waiting for host {step.host}: {error}')
    step_def.on_failure(uow, error)
    uow.finish_step(records.FAILED)
    if step_def.undo is not None:
        uow.enqueue(
            step_def.undo,
            step.args,
            host=step.host,
            undoes=step.id,
            detached=True,
            checkpoints=step.checkpoints,
        )
    # An operation beside the owner of the instance has not changed its state.
    uow.fail(error, to_error=operation.owns_instance)


def give_up(
    uow: UnitOfWork,
    error: exception.MinovaException,
    keeps_state: bool = False,
) -> None:
    """End an operation that can go neither forward nor back.

    The instance goes to error unless it ``keeps_state``.
    """
    _log(uow, f'gives up: {error}')
    error = flows.FLOWS[uow.operation.kind].on_give_up(uow, error)
    owns_instance = uow.operation.owns_instance
    if owns_instance:
        uow.end_migration(migration_states.ERROR)
    uow.fail(error, to_error=owns_instance and not keeps_state)


def _log(uow: UnitOfWork, event: str) -> None:
    operation_log.log(
        uow.connection, uow.operation, event, operation_log.WARNING
    )


def _fence_open_steps(uow: UnitOfWork) -> None:
    """End the other open steps, so that none of them writes any more."""
    for step in uow.steps():
        is_own = step.id == uow.step.id
        if is_own or step.detached or step.state not in records.OPEN:
            continue
        started = step.started_at is not None
        uow.finish_other_step(
            step, records.FAILED if started else records.PREEMPTED
        )


def _mark_undone(uow: UnitOfWork, step: records.Step) -> None:
    flows.get_step(uow.operation.kind, step.method).on_undo(uow, step)
    uow.set_step_state(step, records.UNDONE)


def _find(uow: UnitOfWork, step_id: str) -> records.Step:
    (found,) = [step for step in uow.steps() if step.id == step_id]
    return found
