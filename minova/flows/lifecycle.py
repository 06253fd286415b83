# SPDX-License-Identifier: Apache-2.0
"""The flows of one step: on one host, without any other.

==================== ================== ============ =====================
operation            step               notification on failure
==================== ================== ============ =====================
start                start_instance     power_on     as before
stop, enforce_stop   stop_instance      power_off    as before
pause, enforce_pause pause_instance     pause        as before
unpause              unpause_instance   unpause      as before
suspend              suspend_instance   suspend      as before
resume               resume_instance    resume       as before
reboot_soft, _hard   reboot_instance    reboot       instance in error
==================== ================== ============ =====================

Notifications: the service that begins the operation emits an update to the
first task state. The host emits ``X.start``, updates for the task states in
between, the update to the new vm_state, and ``X.end``.
"""

from oslo_log import log as logging

from minova import exception
from minova.flows import power_actions
from minova.flows.base import ComputeStep
from minova.flows.base import Error
from minova.flows.base import Flow
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.objects import checkpoints
from minova.objects.checkpoints import Checkpoint
from minova.objects.checkpoints import GuestUntouched
from minova.objects.checkpoints import RebootStarted
from minova.objects.operation_params import PowerSyncParams
from minova.objects.step_args import NoArgs
from minova.objects.step_results import GuestState
from minova.power_reconciliation import EXPECTED_POWER
from minova.states import POWERED_ON
from minova.states import PowerState

LOG = logging.getLogger(__name__)


class SingleSpanStep(ComputeStep[NoArgs, GuestState]):
    """A step whose notifications are one pair, around its work."""

    span = ''

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the start."""
        uow.emit_start(self.span)

    def on_success(self, uow: UnitOfWork, result: GuestState) -> None:
        """Write the power state, release the instance, emit the end."""
        uow.update_instance(power_state=result.power_state)
        uow.finish()
        uow.emit_end(self.span)


class StartInstance(SingleSpanStep):
    """Switch the guest on."""

    method = 'start_instance'
    span = 'power_on'

    def run(self, ctx: StepContext, args: NoArgs) -> GuestState:
        """Define and start it, unless an earlier attempt did."""
        power_actions.power_on(ctx)
        return power_actions.power_state_or(ctx, PowerState.RUNNING)


class StopInstance(SingleSpanStep):
    """Switch the guest off."""

    method = 'stop_instance'
    span = 'power_off'

    def run(self, ctx: StepContext, args: NoArgs) -> GuestState:
        """Shut the guest down; power it off when it does not stop."""
        power_actions.power_off(ctx)
        return power_actions.power_state_or(ctx, PowerState.SHUTDOWN)


class PauseInstance(SingleSpanStep):
    """Stop the guest's processors."""

    method = 'pause_instance'
    span = 'pause'

    def run(self, ctx: StepContext, args: NoArgs) -> GuestState:
        """Pause it."""
        ctx.driver.pause(ctx.instance.uuid)
        return power_actions.power_state_or(ctx, PowerState.PAUSED)


class UnpauseInstance(SingleSpanStep):
    """Resume the guest's processors."""

    method = 'unpause_instance'
    span = 'unpause'

    def run(self, ctx: StepContext, args: NoArgs) -> GuestState:
        """Unpause it."""
        ctx.driver.unpause(ctx.instance.uuid)
        return power_actions.power_state_or(ctx, PowerState.RUNNING)


class SuspendInstance(SingleSpanStep):
    """Save the guest's memory to disk and switch it off."""

    method = 'suspend_instance'
    span = 'suspend'

    def run(self, ctx: StepContext, args: NoArgs) -> GuestState:
        """Suspend it, unless an earlier attempt did.

        The save may continue in spite of an error, and pauses the guest.
        """
        try:
            ctx.driver.suspend(ctx.instance.uuid)
        except exception.GuestFailed as error:
            if ctx.is_guest_untouched:
                raise
            seen, saved = _read_outcome(ctx, error)
            if seen is PowerState.PAUSED:
                raise _outcome_uncertain(ctx, error) from error
            if not saved:
                raise
        return power_actions.power_state_or(ctx, PowerState.SHUTDOWN)


class ResumeInstance(SingleSpanStep):
    """Resume the guest where it was suspended."""

    method = 'resume_instance'
    span = 'resume'

    def run(self, ctx: StepContext, args: NoArgs) -> GuestState:
        """Resume it; boot it when there is no saved memory.

        A failed resume keeps the saved memory: the cause may pass, such as a
        host that lacks memory.
        """
        uuid = ctx.instance.uuid
        guest = ctx.driver.guest(uuid)
        on = guest is not None and guest.is_on
        if on or ctx.driver.has_managed_save(uuid):
            _resume_saved(ctx)
        else:
            _start_without_memory(ctx)
        return power_actions.power_state_or(ctx, PowerState.RUNNING)


def _resume_saved(ctx: StepContext) -> None:
    try:
        ctx.driver.resume(ctx.instance.uuid)
    except exception.GuestFailed as error:
        if ctx.is_guest_untouched:
            raise
        seen, saved = _read_outcome(ctx, error)
        if seen in POWERED_ON:
            raise _outcome_uncertain(ctx, error) from error
        kept = (
            ', which is kept: resume it again, or hard reboot it, which drops '
            'the saved memory and boots it'
        )
        raise exception.GuestFailed(
            instance_id=ctx.instance.uuid,
            reason='it cannot resume from its saved memory'
            f'{kept if saved else ""} ({error})',
        ) from error


def _start_without_memory(ctx: StepContext) -> None:
    LOG.warning(
        'Guest %s has no saved memory on %s; booting it',
        ctx.instance.uuid,
        ctx.host,
    )
    try:
        power_actions.power_on(ctx)
    except exception.GuestFailed as error:
        if ctx.is_guest_untouched:
            raise
        seen, _ = _read_outcome(ctx, error)
        if seen in POWERED_ON:
            raise _outcome_uncertain(ctx, error) from error
        raise


def _read_outcome(
    ctx: StepContext, trouble: exception.GuestFailed
) -> tuple[PowerState | None, bool]:
    """Return the power state of a guest, and whether its memory is saved.

    Raises OutcomeUncertain when the hypervisor does not answer.
    """
    try:
        guest = ctx.driver.guest(ctx.instance.uuid)
        saved = ctx.driver.has_managed_save(ctx.instance.uuid)
    except exception.GuestFailed as error:
        raise _outcome_uncertain(ctx, trouble) from error
    return (guest.power if guest else None), saved


def _outcome_uncertain(
    ctx: StepContext, trouble: Exception
) -> exception.OutcomeUncertain:
    """Return the error after which the step is retried."""
    return exception.OutcomeUncertain(
        instance_id=ctx.instance.uuid,
        operation=ctx.kind,
        reason=str(trouble),
    )


class RebootInstance(SingleSpanStep):
    """Restart the guest: softly if requested and possible, else hard."""

    method = 'reboot_instance'
    span = 'reboot'

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the start; the reboot is pending."""
        super().on_start(uow)
        uow.set_task_state(_reboot_task_state(uow, 'reboot_pending'))

    def run(self, ctx: StepContext, args: NoArgs) -> GuestState:
        """Restart it, after a checkpoint with the number of its boot."""
        started = ctx.find_checkpoint(RebootStarted)
        if started is None:
            guest = ctx.driver.guest(ctx.instance.uuid)
            started = RebootStarted(boot=guest.boot if guest else None)
            ctx.save_checkpoint(started)
        soft = ctx.kind == 'reboot_soft'
        if not (soft and power_actions.reboot_soft(ctx, started.boot)):
            power_actions.reboot_hard(ctx)
        return power_actions.read_power_state(ctx)

    def on_checkpoint(self, uow: UnitOfWork, checkpoint: Checkpoint) -> None:
        """Pass to the task state of a reboot that has started."""
        uow.set_task_state(_reboot_task_state(uow, 'reboot_started'))


def _reboot_task_state(uow: UnitOfWork, task_state: str) -> str:
    hard = uow.operation.kind == 'reboot_hard'
    return f'{task_state}_hard' if hard else task_state


class SingleStepFlow(Flow):
    """A flow whose only step runs on the host of the instance."""

    def on_begin(self, uow: UnitOfWork) -> None:
        """Enqueue the step."""
        (step,) = self.steps
        uow.enqueue(step, NoArgs(), host=uow.instance.host)


class PowerFlow(SingleStepFlow):
    """A flow that changes nothing but the power of the guest."""

    is_self_correcting = True


class Start(PowerFlow):
    """Start: the guest boots."""

    steps = (StartInstance,)


class Stop(PowerFlow):
    """Stop: the guest shuts down."""

    steps = (StopInstance,)


class Pause(PowerFlow):
    """Pause: the processors stop."""

    steps = (PauseInstance,)


class Unpause(PowerFlow):
    """Unpause: the processors run again."""

    steps = (UnpauseInstance,)


class Suspend(SingleStepFlow):
    """Suspend: the memory goes to disk."""

    steps = (SuspendInstance,)


class Resume(SingleStepFlow):
    """Resume: the memory comes back from disk."""

    steps = (ResumeInstance,)


class Reboot(PowerFlow):
    """Reboot, soft or hard."""

    steps = (RebootInstance,)

    def on_unwound(self, uow: UnitOfWork, error: Error) -> None:
        """Keep the state of a guest that is as before; else go to error."""
        (step,) = uow.steps()
        untouched = checkpoints.find(step.checkpoints, GuestUntouched)
        uow.fail(error, to_error=untouched is None and not _is_as_before(uow))


def _is_as_before(uow: UnitOfWork) -> bool:
    """Tell whether the guest has the power state of its vm_state."""
    expected = EXPECTED_POWER.get(uow.instance.vm_state)
    return PowerState(uow.instance.power_state) is expected


class PowerSync(Flow):
    """Record a power change that did not come from Minova."""

    params_class = PowerSyncParams

    def on_begin(self, uow: UnitOfWork) -> None:
        """Correct the instance; the host has nothing to do."""
        params = PowerSyncParams.narrow(uow.operation.params)
        uow.update_instance(power_state=params.power_state)
        uow.set_vm_state(params.vm_state)
