# SPDX-License-Identifier: Apache-2.0
"""The life cycle of a compute step: start, checkpoints, finish or failure.

Each function is one transaction on behalf of a compute. A compute calls it
again when the answer was lost: the answer is the same and nothing is written.
Stale tells a compute that it no longer holds the step.
"""

import sqlalchemy as sa

from minova import clock
from minova import exception
from minova import flows
from minova.context import get_admin_context
from minova.db.queries import operations
from minova.engine import begin
from minova.engine import operation_log
from minova.engine import placements
from minova.engine import recovery_rules
from minova.engine import step_records
from minova.engine import unwind
from minova.engine import waits
from minova.engine.recovery_rules import AtDeadline
from minova.engine.unit_of_work import UnitOfWork
from minova.exception import serialization
from minova.flows.base import AnyComputeStep
from minova.flows.base import ComputeStep
from minova.notifications import events
from minova.objects import checkpoints
from minova.objects import operation as records
from minova.objects.checkpoints import Checkpoint
from minova.objects.instance import Instance
from minova.objects.migration import Migration
from minova.objects.operation_params import ResetStateParams
from minova.objects.step import StepAssignment
from minova.objects.step import Wakeup
from minova.objects.step_results import StepResult

#: Seconds before a retry; the pause doubles with each attempt.
_MIN_RETRY_DELAY = 1.0
_MAX_RETRY_DELAY = 60.0
#: The same for a hypervisor that does not answer: a retry costs little, and
#: the guest waits for it.
_MAX_HYPERVISOR_DELAY = 15.0
_HYPERVISOR_ERRORS = (
    exception.HypervisorUnavailable,
    exception.OutcomeUncertain,
)


def start(
    connection: sa.Connection, step_id: str, host: str, incarnation: str
) -> StepAssignment:
    """Start a step on the newest incarnation of ``host``'s compute.

    Raises Stale when the step is not for this compute, or has been preempted.
    """
    loaded = _load_own(connection, step_id, host)
    step = loaded.step
    if loaded.incarnation != incarnation:
        raise _stale_step(step)
    if step.state in (records.DONE, records.FAILED, records.UNDONE):
        return _assignment(_unit_of_work(connection, loaded), step.state)
    _require_live(loaded)
    step_def = _compute_step(loaded)
    if loaded.blocking_step is not None and not step_def.concurrent:
        return _assignment(
            _unit_of_work(connection, loaded),
            'first',
            prerequisites=[loaded.blocking_step],
        )
    if step.not_before is not None and step.not_before > clock.now():
        return _assignment(_unit_of_work(connection, loaded), 'later')
    uow = _unit_of_work(connection, loaded)
    is_resumed = step.started_at is not None
    if not is_resumed:
        step_def.on_start(uow)
        step.started_at = uow.now
    is_retaken = (
        step.state == records.RUNNING and step.incarnation != incarnation
    )
    waits.clear_on_start(uow, is_retaken)
    step.state = records.RUNNING
    step.incarnation = incarnation
    uow.flush()
    return _assignment(uow, 'run', is_resumed=is_resumed)


def save_checkpoint(
    connection: sa.Connection,
    step_id: str,
    host: str,
    incarnation: str,
    checkpoint: Checkpoint,
) -> dict[str, str]:
    """Record that a step has passed a checkpoint; repeats change nothing.

    Returns the ids of the nested steps that the step may call, by method.
    """
    loaded = _load_held(connection, step_id, host, incarnation)
    step_def = _compute_step(loaded)
    uow = _unit_of_work(connection, loaded)
    passed = loaded.step.checkpoints
    if checkpoints.find(passed, type(checkpoint)) is None:
        step_def.on_checkpoint(uow, checkpoint)
        passed.append(checkpoint)
        uow.flush()
    return _nested_step_ids(uow, step_def)


def finish(
    connection: sa.Connection,
    step_id: str,
    host: str,
    incarnation: str,
    result: StepResult,
) -> list[Wakeup]:
    """Record that a step is done; return the wake-ups for the next steps."""
    loaded = _load_own(connection, step_id, host)
    step = loaded.step
    if step.state == records.DONE and step.incarnation == incarnation:
        return step_records.pending_wakeups(connection, loaded.operation)
    _require_held(loaded, incarnation)
    uow = _unit_of_work(connection, loaded)
    _compute_step(loaded).on_success(uow, result)
    step.result = result
    step.error = None
    uow.finish_step(records.DONE)
    if step.undoes is not None and not step.detached:
        unwind.finish_undo(uow, step.undoes)
    wakeups = uow.flush()
    for follow_up in uow.follow_ups:
        wakeups += begin.begin_locked(
            connection,
            get_admin_context(),
            follow_up.kind,
            uow.instance,
            events.publisher_id('compute', host),
            follow_up.params,
        ).wakeups
    return wakeups


def fail(
    connection: sa.Connection,
    step_id: str,
    host: str,
    incarnation: str,
    error: exception.MinovaException,
    power_state: int | None,
    guest_untouched: bool = False,
) -> list[Wakeup]:
    """Record that a step has failed; return the wake-ups that follow.

    ``power_state`` is that of the guest after the failure, None if unknown.
    ``guest_untouched``: the step has certainly not changed its guest.
    """
    loaded = _load_own(connection, step_id, host)
    step = loaded.step
    ended = (records.FAILED, records.UNDONE)
    if step.incarnation == incarnation and step.state in ended:
        return step_records.pending_wakeups(connection, loaded.operation)
    if step.incarnation is None and step.attempts:
        return []
    _require_held(loaded, incarnation)
    uow = _unit_of_work(connection, loaded)
    step_def = _compute_step(loaded)
    step.error = serialization.encode(error)
    if power_state is not None and loaded.instance.host == step.host:
        uow.update_instance(power_state=power_state)
    can_fail = (
        step_def.fails_if_untouched
        and guest_untouched
        and isinstance(error, exception.HypervisorUnavailable)
    )
    if step_def.must_succeed(step) and not can_fail:
        _retry_or_give_up(uow, step_def, error)
    elif step_def.is_retryable(error) and uow.now < loaded.operation.deadline:
        _schedule_retry(uow, error)
    else:
        if guest_untouched and step.undoes is None:
            # A note of an attempt that is not the last would become wrong.
            step.checkpoints.append(checkpoints.GuestUntouched())
        step_def.on_failure(uow, error)
        uow.finish_step(records.FAILED)
        if not step.nested:
            unwind.start(
                uow,
                error,
                f'{operation_log.describe_step(step)} failed: {error}',
            )
    return uow.flush()


def _retry_or_give_up(
    uow: UnitOfWork, step_def: AnyComputeStep, error: exception.MinovaException
) -> None:
    decision = AtDeadline.LET_FINISH
    if uow.now > uow.operation.deadline:
        decision = recovery_rules.at_deadline(
            step_def, uow.step, uow.operation, is_running=False
        )
    keeps_state = decision is AtDeadline.KEEP_STATE
    if (
        step_def.is_fatal(error)
        or keeps_state
        or decision is AtDeadline.GIVE_UP
    ):
        step_def.on_failure(uow, error)
        uow.finish_step(records.FAILED)
        unwind.give_up(uow, error, keeps_state)
        return
    is_undo = uow.step.undoes is not None and not uow.step.detached
    if is_undo and step_def.is_deferrable(uow.step):
        # A clean-up that fails does not block what follows it.
        decision = AtDeadline.DETACH_UNDO
    if decision is AtDeadline.DETACH_UNDO:
        unwind.detach_undo(uow, str(error))
    _schedule_retry(uow, error)


def _schedule_retry(uow: UnitOfWork, error: exception.MinovaException) -> None:
    step, longest = uow.step, _MAX_RETRY_DELAY
    if isinstance(error, _HYPERVISOR_ERRORS):
        longest = _MAX_HYPERVISOR_DELAY
    pause = min(_MIN_RETRY_DELAY * 2**step.attempts, longest)
    step.state = records.PENDING
    step.incarnation = None
    step.attempts += 1
    waits.wait_for_retry(uow, error, pause)


# -- common parts ------------------------------------------------------------


def _load_held(
    connection: sa.Connection, step_id: str, host: str, incarnation: str
) -> operations.LockedStep:
    loaded = _load_own(connection, step_id, host)
    _require_held(loaded, incarnation)
    return loaded


def _load_own(
    connection: sa.Connection, step_id: str, host: str
) -> operations.LockedStep:
    """Load a step of the host that sent the message; Stale for another."""
    loaded = step_records.load(connection, step_id)
    if loaded.step.host != host:
        raise _stale_step(loaded.step)
    return loaded


def _require_held(loaded: operations.LockedStep, incarnation: str) -> None:
    step = loaded.step
    if step.state != records.RUNNING or step.incarnation != incarnation:
        raise _stale_step(step)
    _require_live(loaded)


def _require_live(loaded: operations.LockedStep) -> None:
    """Raise Stale unless step and operation are live."""
    step, operation = loaded.step, loaded.operation
    if step.state not in records.OPEN or operation.state != records.RUNNING:
        raise _stale_step(step)
    if operation.owns_instance and loaded.instance.task_id != operation.id:
        raise step_records.stale(operation)


def _stale_step(step: records.Step) -> exception.Stale:
    return exception.Stale(what=f'Step {step.method}', holder=step.host)


def _compute_step(loaded: operations.LockedStep) -> AnyComputeStep:
    step_def = flows.get_step(loaded.operation.kind, loaded.step.method)
    assert isinstance(step_def, ComputeStep)
    return step_def


def _unit_of_work(
    connection: sa.Connection, loaded: operations.LockedStep
) -> UnitOfWork:
    publisher = events.publisher_id('compute', str(loaded.step.host))
    return UnitOfWork.of(connection, loaded, publisher)


def _nested_step_ids(
    uow: UnitOfWork, step_def: AnyComputeStep
) -> dict[str, str]:
    if not step_def.nested_steps:
        return {}
    steps = uow.pending or uow.steps()
    return {step.method: step.id for step in steps if step.nested}


def _assignment(
    uow: UnitOfWork,
    verdict: str,
    prerequisites: list[str] | None = None,
    is_resumed: bool = False,
) -> StepAssignment:
    step, operation = uow.step, uow.operation
    step_def = flows.get_step(operation.kind, step.method)
    assert isinstance(step_def, ComputeStep)
    migrates = flows.FLOWS[operation.kind].has_migration
    migration = uow.find_migration() if migrates else None
    return StepAssignment(
        step=step.id,
        method=step.method,
        verdict=verdict,
        prerequisites=prerequisites or [],
        result=step.result,
        error=step.error,
        nested_steps=_nested_step_ids(uow, step_def)
        if verdict == 'run'
        else {},
        is_resumed=is_resumed,
        checkpoints=step.checkpoints,
        args=step.args,
        kind=operation.kind,
        operation=operation.id,
        generation=operation.generation,
        request_context=operation.context,
        params=operation.params,
        old_vm_state=operation.old_vm_state,
        seconds_left=(operation.deadline - uow.now).total_seconds(),
        instance=uow.instance,
        migration=migration,
        placement=placements.find(
            uow.connection,
            uow.instance,
            step.host,
            _find_consumer(operation, uow.instance, migration),
        ),
    )


def _find_consumer(
    operation: records.Operation,
    instance: Instance,
    migration: Migration | None,
) -> str | None:
    """Return the consumer of the claim that is for the instance's flavor.

    It differs from the instance in a resize that stays on its host, and in
    the reset of one: the other claim there is for the other flavor.
    """
    if migration is None or not migration.is_same_host:
        return instance.uuid
    other: str | None = operation.id
    is_mine_new = False
    if isinstance(operation.params, ResetStateParams):
        other = operation.params.consumer
        is_mine_new = operation.params.claims_dest
    is_new = instance.flavor == migration.new_flavor
    return instance.uuid if is_new == is_mine_new else other
