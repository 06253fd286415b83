# SPDX-License-Identifier: Apache-2.0
"""Rescue: a guest starts from another system, to repair its own.

=========== ====================== ========== ==========================
operation   step                   where      taken back by
=========== ====================== ========== ==========================
rescue      rescue_instance        the host   undo_rescue_instance
unrescue    unrescue_instance      the host   undo_unrescue_instance
=========== ====================== ========== ==========================

The rescue disk is made of an image while the guest still is what it was; only
then the guest goes off and starts from it, its own disks beside. On the way
back the rescue disk is removed once the guest runs from its own again: until
then there is a way back to the rescue.
"""

from typing import TYPE_CHECKING

from minova import exception
from minova.flows import power_actions
from minova.flows.base import ComputeStep
from minova.flows.base import Flow
from minova.flows.base import JsonDict
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.notifications import payload
from minova.objects.instance import Instance
from minova.objects.operation_params import OperationParams
from minova.objects.operation_params import RescueImage
from minova.objects.operation_params import RescueParams
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
    ctx: StepContext, spec: 'GuestSpec', was_shut_down: bool = False
) -> None:
    """Let a guest be again as ``spec`` says, on if it was on.

    One that runs and was not defined by this operation was not touched yet,
    unless it was ``asked`` to go off: then it would, a little later.
    """
    guest = ctx.driver.guest(spec.uuid)
    was_on = ctx.args['was_on']
    if guest is None and not was_on:
        return
    if (
        guest is not None
        and guest.power in POWERED_ON
        and not was_shut_down
        and not ctx.is_current_generation(guest.generation)
    ):
        return
    ctx.driver.power_off(spec.uuid)
    if was_on:
        power_actions.define_and_start(ctx, spec)
    else:
        ctx.driver.define(spec)


class UndoRescueInstance(ComputeStep):
    """Let a guest that could not be rescued be as it was."""

    method = 'undo_rescue_instance'
    retry_until_done = True

    def run(self, ctx: StepContext) -> JsonDict:
        """Define and start it as its own; remove the rescue disk."""
        _restore_guest(ctx, ctx.spec())
        ctx.driver.remove_rescue_disk(ctx.instance.uuid)
        return power_actions.read_power_state(ctx)

    def on_success(self, uow: UnitOfWork, result: JsonDict) -> None:
        """Note that it runs, or is off as it was."""
        uow.update_instance(**result)


class RescueInstance(ComputeStep):
    """Start the guest from a disk that is made of the rescue image."""

    method = 'rescue_instance'
    undo = UndoRescueInstance

    def on_start(self, uow: UnitOfWork) -> None:
        """Tell what exists until now, and that it will change."""
        uow.emit('exists')
        uow.emit_start('rescue', **self._extras(uow))

    def run(self, ctx: StepContext) -> JsonDict:
        """Make the disk; switch the guest off, and on from it."""
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

    def on_success(self, uow: UnitOfWork, result: JsonDict) -> None:
        """It is rescued; consumers count from now."""
        uow.update_instance(launched_at=uow.now, **result)
        uow.finish()
        uow.emit_end('rescue', **self._extras(uow))

    def _extras(self, uow: UnitOfWork) -> JsonDict:
        image = _rescue_image(uow.operation.params, uow.instance)
        return {
            'rescue_image_name': image.name,
            'fixed_ips': payload.fixed_ips(uow.instance),
        }


class UndoUnrescueInstance(ComputeStep):
    """Let a guest that did not start from its own disk be rescued again."""

    method = 'undo_unrescue_instance'
    retry_until_done = True

    def run(self, ctx: StepContext) -> JsonDict:
        """Define and start it from the rescue disk, which is still there.

        Anew, since the first thing that was done was to ask it to go off.
        """
        _restore_guest(ctx, _rescue_spec(ctx), was_shut_down=True)
        return power_actions.read_power_state(ctx)

    def on_success(self, uow: UnitOfWork, result: JsonDict) -> None:
        """Note that it runs, or is off as it was."""
        uow.update_instance(**result)


class UnrescueInstance(ComputeStep):
    """Start the guest from its own disk, and remove the rescue disk."""

    method = 'unrescue_instance'
    undo = UndoUnrescueInstance
    point_of_no_return = 'started'

    def on_start(self, uow: UnitOfWork) -> None:
        """Tell that it starts."""
        uow.emit_start('unrescue', fixed_ips=payload.fixed_ips(uow.instance))

    def run(self, ctx: StepContext) -> JsonDict:
        """Switch it off, and on from its own disk."""
        if 'started' not in ctx.checkpoints:
            if not power_actions.is_already_started(ctx):
                power_actions.power_off(ctx)
                power_actions.define_and_start(ctx, ctx.spec())
            ctx.save_checkpoint('started')
        ctx.driver.remove_rescue_disk(ctx.instance.uuid)
        return power_actions.power_state_or(ctx, PowerState.RUNNING)

    def on_success(self, uow: UnitOfWork, result: JsonDict) -> None:
        """It is its own again."""
        uow.update_instance(**result)
        uow.finish()
        uow.emit_end('unrescue', fixed_ips=payload.fixed_ips(uow.instance))


class Rescue(Flow):
    """Let the guest start from another system."""

    params_class = RescueParams
    steps = (RescueInstance, UndoRescueInstance)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Let the instance's host do it."""
        _enqueue(uow, RescueInstance)


class Unrescue(Flow):
    """Let the guest start from its own system again."""

    params_class = RescueParams
    steps = (UnrescueInstance, UndoUnrescueInstance)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Let the instance's host do it."""
        _enqueue(uow, UnrescueInstance)


def _enqueue(uow: UnitOfWork, step: type[ComputeStep]) -> None:
    """Let the host do a step, which knows whether the guest is on."""
    was_on = uow.instance.power_state in POWERED_ON
    uow.enqueue(step, host=uow.instance.host, was_on=was_on)
