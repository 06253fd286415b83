# SPDX-License-Identifier: Apache-2.0
"""Rescue: a guest boots from a rescue image, to repair its own disk.

=========== ====================== ========== ==========================
operation   step                   where      undone by
=========== ====================== ========== ==========================
rescue      rescue_instance        the host   undo_rescue_instance
unrescue    unrescue_instance      the host   undo_unrescue_instance
=========== ====================== ========== ==========================

The host creates the rescue disk while the guest still runs as before. Then it
powers the guest off and starts it from the rescue disk, with the guest's own
disks attached. Unrescue removes the rescue disk only after the guest has
started from its own disk: until then it can be rescued again.
"""

from typing import TYPE_CHECKING

from minova import exception
from minova.flows import power_actions
from minova.flows.base import ComputeStep
from minova.flows.base import Flow
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.notifications import payload
from minova.objects.checkpoints import GuestUntouched
from minova.objects.checkpoints import UnrescuedGuestStarted
from minova.objects.instance import Instance
from minova.objects.operation_params import OperationParams
from minova.objects.operation_params import RescueImage
from minova.objects.operation_params import RescueParams
from minova.objects.step_args import RescueArgs
from minova.objects.step_results import GuestState
from minova.states import POWERED_ON
from minova.states import PowerState

if TYPE_CHECKING:
    from minova.virt.driver import GuestSpec


def _rescue_image(params: OperationParams, instance: Instance) -> RescueImage:
    """Return the rescue image, by default the instance's own."""
    return RescueParams.narrow(params).image or RescueImage(
        image_id=instance.image_ref,
        name=instance.image_ref,
        disk_format=instance.image_meta.get('disk_format'),
    )


def _rescue_spec(ctx: StepContext) -> 'GuestSpec':
    return ctx.spec(rescue=_rescue_image(ctx.params, ctx.instance))


def _restore_guest(
    ctx: StepContext,
    spec: 'GuestSpec',
    was_on: bool,
    was_shut_down: bool = False,
) -> None:
    """Define the guest as ``spec``, and start it if it was on before.

    A running guest that this operation has not defined is still unchanged.
    With ``was_shut_down`` it has been asked to shut down and may do so late,
    so it is restarted nevertheless.
    """
    guest = ctx.driver.guest(spec.uuid)
    if guest is None and not was_on:
        return
    if (
        guest is not None
        and guest.is_on
        and not was_shut_down
        and not ctx.is_current_generation(guest.generation)
    ):
        return
    ctx.driver.power_off(spec.uuid)
    if was_on:
        power_actions.define_and_start(ctx, spec)
    else:
        ctx.driver.define(spec)


class UndoRescueInstance(ComputeStep[RescueArgs, GuestState]):
    """Restore the guest after a failed rescue."""

    method = 'undo_rescue_instance'
    retry_until_done = True

    def run(self, ctx: StepContext, args: RescueArgs) -> GuestState:
        """Start it from its own disk; remove the rescue disk."""
        untouched = ctx.find_checkpoint(GuestUntouched) is not None
        if not untouched:
            _restore_guest(ctx, ctx.spec(), args.was_on)
        ctx.driver.remove_rescue_disk(ctx.instance.uuid)
        if untouched:
            return power_actions.unchanged_power_state(ctx)
        return power_actions.read_power_state(ctx)

    def on_success(self, uow: UnitOfWork, result: GuestState) -> None:
        """Write the power state."""
        uow.update_instance(power_state=result.power_state)


class RescueInstance(ComputeStep[RescueArgs, GuestState]):
    """Start the guest from a disk with the rescue image."""

    method = 'rescue_instance'
    undo = UndoRescueInstance

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the start."""
        uow.emit_start(
            'rescue',
            rescue_image_name=_image_name(uow),
            fixed_ips=payload.fixed_ips(uow.instance),
        )

    def run(self, ctx: StepContext, args: RescueArgs) -> GuestState:
        """Create the disk; restart the guest from it."""
        if not power_actions.is_already_started(ctx):
            spec = _rescue_spec(ctx)
            if not ctx.driver.has_disks(spec.uuid):
                raise exception.DiskFailed(
                    instance_id=spec.uuid,
                    reason=f'its disks are not on {ctx.host}, so there is '
                    'nothing to rescue',
                )
            image = ctx.fetch_image(
                _rescue_image(ctx.params, ctx.instance).image_id
            )
            ctx.driver.create_rescue_disk(spec, image)
            power_actions.power_off(ctx)
            power_actions.define_and_start(ctx, spec)
        return power_actions.power_state_or(ctx, PowerState.RUNNING)

    def on_success(self, uow: UnitOfWork, result: GuestState) -> None:
        """Write the new launch time; release the instance as rescued.

        ``exists`` has the usage since the launch that ends here.
        """
        uow.emit('exists')
        uow.update_instance(
            launched_at=uow.now, power_state=result.power_state
        )
        uow.finish()
        uow.emit_end(
            'rescue',
            rescue_image_name=_image_name(uow),
            fixed_ips=payload.fixed_ips(uow.instance),
        )


def _image_name(uow: UnitOfWork) -> str:
    return _rescue_image(uow.operation.params, uow.instance).name


class UndoUnrescueInstance(ComputeStep[RescueArgs, GuestState]):
    """Return the guest to the rescue after a failed unrescue."""

    method = 'undo_unrescue_instance'
    retry_until_done = True

    def run(self, ctx: StepContext, args: RescueArgs) -> GuestState:
        """Restart it from the rescue disk, which still exists.

        The failed unrescue has asked the guest to shut down.
        """
        if ctx.find_checkpoint(GuestUntouched) is not None:
            return power_actions.unchanged_power_state(ctx)
        _restore_guest(ctx, _rescue_spec(ctx), args.was_on, was_shut_down=True)
        return power_actions.read_power_state(ctx)

    def on_success(self, uow: UnitOfWork, result: GuestState) -> None:
        """Write the power state."""
        uow.update_instance(power_state=result.power_state)


class UnrescueInstance(ComputeStep[RescueArgs, GuestState]):
    """Start the guest from its own disk, and remove the rescue disk."""

    method = 'unrescue_instance'
    undo = UndoUnrescueInstance
    point_of_no_return = UnrescuedGuestStarted

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the start."""
        uow.emit_start('unrescue', fixed_ips=payload.fixed_ips(uow.instance))

    def run(self, ctx: StepContext, args: RescueArgs) -> GuestState:
        """Restart it from its own disk; remove the rescue disk."""
        if ctx.find_checkpoint(UnrescuedGuestStarted) is None:
            if not power_actions.is_already_started(ctx):
                power_actions.power_off(ctx)
                power_actions.define_and_start(ctx, ctx.spec())
            ctx.save_checkpoint(UnrescuedGuestStarted())
        ctx.driver.remove_rescue_disk(ctx.instance.uuid)
        return power_actions.power_state_or(ctx, PowerState.RUNNING)

    def on_success(self, uow: UnitOfWork, result: GuestState) -> None:
        """Release the instance as active."""
        uow.update_instance(power_state=result.power_state)
        uow.finish()
        uow.emit_end('unrescue', fixed_ips=payload.fixed_ips(uow.instance))


class Rescue(Flow):
    """Boot the guest from a rescue image."""

    params_class = RescueParams
    steps = (RescueInstance, UndoRescueInstance)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Enqueue the step on the instance's host."""
        _enqueue(uow, RescueInstance)


class Unrescue(Flow):
    """Boot the guest from its own disk again."""

    params_class = RescueParams
    steps = (UnrescueInstance, UndoUnrescueInstance)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Enqueue the step on the instance's host."""
        _enqueue(uow, UnrescueInstance)


def _enqueue(
    uow: UnitOfWork, step: type[ComputeStep[RescueArgs, GuestState]]
) -> None:
    """Enqueue a step on the instance's host."""
    was_on = uow.instance.power_state in POWERED_ON
    uow.enqueue(step, RescueArgs(was_on=was_on), host=uow.instance.host)
