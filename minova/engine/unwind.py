# SPDX-License-Identifier: Apache-2.0
"""Undoing: a failed operation is taken back, the newest step first.

What a host did is taken back by a step that the host owes, so that undoing
survives crashes like doing does; what a conductor did, at once.
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
    """Begin to take the operation back; the journal is told ``because``."""
    operation = uow.operation
    _log(uow, f' is taken back: {reason or error}')
    operation.error = serialization.encode(error)
    operation.unwinding = True
    _fence_open_steps(uow)
    proceed(uow)


def proceed(uow: UnitOfWork) -> None:
    """Take back the newest step that is left; go on if that is quick."""
    for step in reversed(uow.steps()):
        takes_back = step.undoes is not None or step.detached
        if takes_back or step.state not in (records.DONE, records.FAILED):
            continue
        step_def = flows.get_step(uow.operation.kind, step.method)
        if isinstance(step_def, ComputeStep) and step_def.undo is not None:
            uow.enqueue(
                step_def.undo, host=step.host, undoes=step.id, **step.args
            )
            return
        _mark_undone(uow, step)
    assert uow.operation.error is not None
    error = serialization.decode(uow.operation.error)
    flows.FLOWS[uow.operation.kind].on_unwound(uow, error)


def finish_undo(uow: UnitOfWork, step_id: str) -> None:
    """Note that a step was taken back by its host; go on with the next."""
    _mark_undone(uow, _find(uow, step_id))
    proceed(uow)


def detach_undo(uow: UnitOfWork, why: str) -> None:
    """Go on without an undoing step that is not done, and ``why`` it is not.

    The step stays owed; what it removes harms nothing meanwhile.
    """
    assert uow.step.undoes is not None
    _log(
        uow, f' goes on without {operation_log.describe_step(uow.step)}: {why}'
    )
    uow.step.detached = True
    finish_undo(uow, uow.step.undoes)


def fail_without_host(
    uow: UnitOfWork, error: exception.MinovaException
) -> None:
    """Fail although a host cannot be asked; it cleans up when it returns."""
    operation, step = uow.operation, uow.step
    operation.error = serialization.encode(error)
    step_def = flows.get_step(operation.kind, step.method)
    assert isinstance(step_def, ComputeStep)
    _log(uow, f' is not waited for any more: {error}')
    step_def.on_failure(uow, error)
    uow.finish_step(records.FAILED)
    if step_def.undo is not None:
        uow.enqueue(
            step_def.undo,
            host=step.host,
            undoes=step.id,
            detached=True,
            **step.args,
        )
    uow.fail(error, to_error=True)


def give_up(uow: UnitOfWork, error: exception.MinovaException) -> None:
    """End an operation that can go neither forward nor back."""
    _log(uow, f' gives up: {error}')
    if uow.operation.owns_instance:
        uow.end_migration(migration_states.ERROR)
    uow.fail(error, to_error=uow.operation.owns_instance)


def _log(uow: UnitOfWork, text: str) -> None:
    operation_log.log(
        uow.connection, uow.operation, text, operation_log.WARNING
    )


def _fence_open_steps(uow: UnitOfWork) -> None:
    """End what still runs, so that nothing it saves is written any more."""
    for step in uow.steps():
        mine = step.id == uow.step.id
        if mine or step.detached or step.state not in records.OPEN:
            continue
        begun = step.started_at is not None
        uow.finish_other_step(
            step, records.FAILED if begun else records.PREEMPTED
        )


def _mark_undone(uow: UnitOfWork, step: records.Step) -> None:
    flows.get_step(uow.operation.kind, step.method).on_undo(uow, step)
    uow.set_step_state(step, records.UNDONE)


def _find(uow: UnitOfWork, step_id: str) -> records.Step:
    (found,) = [step for step in uow.steps() if step.id == step_id]
    return found
