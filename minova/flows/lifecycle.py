# SPDX-License-Identifier: Apache-2.0
"""The stories of one step: on one host, nobody else involved.

==================== ================== =========== =====================
operation            step               told        when it fails
==================== ================== =========== =====================
start                start_instance     power_on    as before
stop, enforce_stop     stop_instance      power_off   as before
pause, enforce_pause   pause_instance     pause       as before
unpause              unpause_instance   unpause     as before
suspend              suspend_instance   suspend     as before
resume               resume_instance    resume      as before
reboot_soft, _hard   reboot_instance    reboot      in error
==================== ================== =========== =====================

Told: update to the first task state by whoever began it; then at the host
``X.start``, the task states on the way, update to the new vm_state, ``X.end``.
"""

from oslo_log import log as logging

from minova import exception
from minova.flows import power_actions
from minova.flows.base import ComputeStep
from minova.flows.base import Flow
from minova.flows.base import JsonDict
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.objects.operation_params import PowerSyncParams
from minova.states import POWERED_ON
from minova.states import PowerState

LOG = logging.getLogger(__name__)


class SingleSpanStep(ComputeStep):
    """A step that is told as one span around its work."""

    span = ''

    def on_start(self, uow: UnitOfWork) -> None:
        """Tell that it starts."""
        uow.emit_start(self.span)

    def on_success(self, uow: UnitOfWork, result: JsonDict) -> None:
        """Note the power state, let go of the instance, tell."""
        uow.update_instance(**result)
        uow.finish()
        uow.emit_end(self.span)


class StartInstance(SingleSpanStep):
    """Switch the guest on."""

    method = 'start_instance'
    span = 'power_on'

    def run(self, ctx: StepContext) -> JsonDict:
        """Define and start it; nothing when an earlier try did."""
        power_actions.power_on(ctx)
        return power_actions.power_state_or(ctx, PowerState.RUNNING)


class StopInstance(SingleSpanStep):
    """Switch the guest off."""

    method = 'stop_instance'
    span = 'power_off'

    def run(self, ctx: StepContext) -> JsonDict:
        """Ask the guest, then cut the power."""
        power_actions.power_off(ctx)
        return power_actions.power_state_or(ctx, PowerState.SHUTDOWN)


class PauseInstance(SingleSpanStep):
    """Stop the guest's processors."""

    method = 'pause_instance'
    span = 'pause'

    def run(self, ctx: StepContext) -> JsonDict:
        """Pause it."""
        ctx.driver.pause(ctx.instance.uuid)
        return power_actions.power_state_or(ctx, PowerState.PAUSED)


class UnpauseInstance(SingleSpanStep):
    """Let the guest's processors go on."""

    method = 'unpause_instance'
    span = 'unpause'

    def run(self, ctx: StepContext) -> JsonDict:
        """Unpause it."""
        ctx.driver.unpause(ctx.instance.uuid)
        return power_actions.power_state_or(ctx, PowerState.RUNNING)


class SuspendInstance(SingleSpanStep):
    """Save the guest's memory to disk and switch it off."""

    method = 'suspend_instance'
    span = 'suspend'

    def run(self, ctx: StepContext) -> JsonDict:
        """Suspend it; nothing when an earlier try did.

        An error may hide that it is being saved, which goes on without us:
        the guest is paused for it.
        """
        try:
            ctx.driver.suspend(ctx.instance.uuid)
        except exception.GuestFailed as error:
            seen, saved = _read_outcome(ctx, error)
            if seen is PowerState.PAUSED:
                raise _outcome_uncertain(ctx, error) from error
            if not saved:
                raise
        return power_actions.power_state_or(ctx, PowerState.SHUTDOWN)


class ResumeInstance(SingleSpanStep):
    """Let the guest go on where it was suspended."""

    method = 'resume_instance'
    span = 'resume'

    def run(self, ctx: StepContext) -> JsonDict:
        """Resume it; without anything to go on from, start it anew.

        What is saved and cannot be used is not dropped: that the host lacks
        memory just now is no reason to lose the guest's.
        """
        uuid = ctx.instance.uuid
        guest = ctx.driver.guest(uuid)
        on = guest is not None and guest.power in POWERED_ON
        if on or ctx.driver.has_managed_save(uuid):
            _resume_saved(ctx)
        else:
            _start_without_memory(ctx)
        return power_actions.power_state_or(ctx, PowerState.RUNNING)


def _resume_saved(ctx: StepContext) -> None:
    try:
        ctx.driver.resume(ctx.instance.uuid)
    except exception.GuestFailed as error:
        seen, saved = _read_outcome(ctx, error)
        if seen in POWERED_ON:
            raise _outcome_uncertain(ctx, error) from error
        kept = (
            ', which is kept: resume it again, or reboot it hard, which drops '
            'that memory and starts it anew'
        )
        raise exception.GuestFailed(
            instance_id=ctx.instance.uuid,
            reason='it cannot go on from its saved memory'
            f'{kept if saved else ""} ({error})',
        ) from error


def _start_without_memory(ctx: StepContext) -> None:
    LOG.warning(
        'Nothing is left on %s of what was saved of the memory of guest %s; '
        'it is started anew.',
        ctx.host,
        ctx.instance.uuid,
    )
    try:
        power_actions.power_on(ctx)
    except exception.GuestFailed as error:
        seen, _ = _read_outcome(ctx, error)
        if seen in POWERED_ON:
            raise _outcome_uncertain(ctx, error) from error
        raise


def _read_outcome(
    ctx: StepContext, trouble: exception.GuestFailed
) -> tuple[PowerState | None, bool]:
    """Return what has become of a guest, and whether memory is saved.

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
    """Return the error after which the step is tried again."""
    return exception.OutcomeUncertain(
        instance_id=ctx.instance.uuid,
        operation=ctx.kind,
        reason=str(trouble),
    )


class RebootInstance(SingleSpanStep):
    """Restart the guest: softly if asked and possible, else hard."""

    method = 'reboot_instance'
    span = 'reboot'

    def on_start(self, uow: UnitOfWork) -> None:
        """Tell that it starts."""
        super().on_start(uow)
        uow.set_task_state(_reboot_task_state(uow, 'reboot_pending'))

    def run(self, ctx: StepContext) -> JsonDict:
        """Restart; the number of the boot that ends is saved before."""
        if 'started' in ctx.checkpoints:
            boot = ctx.checkpoints['started']['boot']
        else:
            guest = ctx.driver.guest(ctx.instance.uuid)
            boot = guest.boot if guest else None
            ctx.save_checkpoint('started', boot=boot)
        if ctx.kind != 'reboot_soft' or not power_actions.reboot_soft(
            ctx, boot
        ):
            power_actions.reboot_hard(ctx)
        return power_actions.read_power_state(ctx)

    def on_checkpoint(
        self, uow: UnitOfWork, checkpoint: str, facts: JsonDict
    ) -> None:
        """Tell that the guest is asked now."""
        uow.set_task_state(_reboot_task_state(uow, 'reboot_started'))


def _reboot_task_state(uow: UnitOfWork, task_state: str) -> str:
    hard = uow.operation.kind == 'reboot_hard'
    return f'{task_state}_hard' if hard else task_state


class SingleStepFlow(Flow):
    """A story whose only step runs where the instance is."""

    def on_begin(self, uow: UnitOfWork) -> None:
        """Let the instance's host do it."""
        (step,) = self.steps
        uow.enqueue(step, host=uow.instance.host)


class Start(SingleStepFlow):
    """Switch on."""

    steps = (StartInstance,)


class Stop(SingleStepFlow):
    """Switch off."""

    steps = (StopInstance,)


class Pause(SingleStepFlow):
    """Pause."""

    steps = (PauseInstance,)


class Unpause(SingleStepFlow):
    """Go on."""

    steps = (UnpauseInstance,)


class Suspend(SingleStepFlow):
    """Save to disk."""

    steps = (SuspendInstance,)


class Resume(SingleStepFlow):
    """Go on from there."""

    steps = (ResumeInstance,)


class Reboot(SingleStepFlow):
    """Restart."""

    steps = (RebootInstance,)


class PowerSync(Flow):
    """Take over what was done to a guest behind our back."""

    params_class = PowerSyncParams

    def on_begin(self, uow: UnitOfWork) -> None:
        """Correct the row; there is nothing to do on the host."""
        params = PowerSyncParams.narrow(uow.operation.params)
        uow.update_instance(power_state=params.power_state)
        uow.set_vm_state(params.vm_state)
