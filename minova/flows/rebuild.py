# SPDX-License-Identifier: Apache-2.0
"""Rebuild: an instance gets a new root disk, from the same or another image.

= =================== ========= ========================= =====================
# step                where     task states               undone by
= =================== ========= ========================= =====================
1 rebuild_server      conductor rebuilding                return of the image
2 rebuild_instance    the host  rebuild_block_device_     undo_rebuild_instance
                                mapping, rebuild_spawning
3 cleanup_stale_guest the host  none: the rebuild is done
= =================== ========= ========================= =====================

Host, addresses and claims stay. The instance has the new image, name, metadata
and so on from the begin; an undo returns what the rebuild has changed.

The host fetches the image while the guest runs. Then it powers the guest off,
retains its disks and creates new ones. A rebuild that fails restores the old
disks and starts the guest as it was before. The old disks are removed after
the end of a rebuild that succeeds.
"""

from minova import exception
from minova import states
from minova.conf import CONF
from minova.exception import serialization
from minova.flows import delete
from minova.flows import power_actions
from minova.flows import retries
from minova.flows.base import ComputeStep
from minova.flows.base import ConductorStep
from minova.flows.base import Error
from minova.flows.base import Flow
from minova.flows.base import Prechecked
from minova.flows.base import Scheduler
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.notifications import payload
from minova.objects import checkpoints
from minova.objects import operation as records
from minova.objects.checkpoints import GuestUntouched
from minova.objects.checkpoints import OldDisksRetained
from minova.objects.operation_params import RebuildParams
from minova.objects.step_args import NoArgs
from minova.objects.step_args import RebuildInstanceArgs
from minova.objects.step_results import GuestBuilt
from minova.objects.step_results import GuestState
from minova.objects.step_results import NoResult

# -- on a conductor ----------------------------------------------------------


class RebuildServer(ConductorStep[NoArgs, NoResult]):
    """Check the host of the instance against the new image."""

    method = 'rebuild_server'

    def run(
        self,
        uow: UnitOfWork,
        scheduler: Scheduler,
        args: NoArgs,
        prechecked: Prechecked,
    ) -> NoResult:
        """Keep the host if it fits; claim its resources if none are."""
        scheduler.keep_host(uow)
        uow.emit('rebuild.scheduled')
        uow.enqueue(
            RebuildInstance,
            RebuildInstanceArgs(
                was_on=uow.instance.power_state in states.POWERED_ON
            ),
            host=uow.instance.host,
        )
        return NoResult()

    def on_undo(self, uow: UnitOfWork, step: records.Step) -> None:
        """Return the old image to the instance."""
        _restore_fields(uow)


def _restore_fields(uow: UnitOfWork) -> None:
    """Return the fields that have the value of the rebuild.

    A user may have changed others meanwhile, such as the name.
    """
    params = RebuildParams.narrow(uow.operation.params)
    uow.update_instance(
        **{
            name: params.before[name]
            for name, value in params.changes.items()
            if getattr(uow.instance, name) == value
        }
    )


# -- on the host -------------------------------------------------------------


class UndoRebuildInstance(ComputeStep[RebuildInstanceArgs, GuestState]):
    """Restore the old disks after a failed rebuild."""

    method = 'undo_rebuild_instance'
    retry_until_done = True

    def on_start(self, uow: UnitOfWork) -> None:
        """Return the old image, which defines the guest."""
        _restore_fields(uow)

    def run(self, ctx: StepContext, args: RebuildInstanceArgs) -> GuestState:
        """Restore the disks; start the guest if it was running.

        Without old disks the partial new ones are removed.
        """
        uuid = ctx.instance.uuid
        retained = ctx.find_checkpoint(OldDisksRetained)
        had_disks = retained.exists if retained else _has_old_disks(ctx)
        if retained is None and not had_disks:
            # The rebuild has failed before it looked.
            ctx.save_checkpoint(OldDisksRetained(exists=False))
        if ctx.find_checkpoint(GuestUntouched) and retained is None:
            return power_actions.unchanged_power_state(ctx)
        if not had_disks:
            ctx.driver.destroy(uuid)
            ctx.driver.remove_disks(uuid)
            return power_actions.read_power_state(ctx)
        if ctx.driver.has_retained_disks(uuid):
            if ctx.driver.guest(uuid) is not None:
                ctx.driver.power_off(uuid)
            ctx.driver.restore_disks(uuid)
        elif power_actions.is_already_started(ctx):
            return power_actions.read_power_state(ctx)
        _restore_guest(ctx, args.was_on)
        return power_actions.read_power_state(ctx)

    def on_success(self, uow: UnitOfWork, result: GuestState) -> None:
        """Write the power state."""
        uow.update_instance(power_state=result.power_state)


def _has_old_disks(ctx: StepContext) -> bool:
    uuid = ctx.instance.uuid
    return ctx.driver.has_disks(uuid) or ctx.driver.has_retained_disks(uuid)


def _restore_guest(ctx: StepContext, was_on: bool) -> None:
    """Define the guest with its old disks, and start it if it was on.

    The failed rebuild may have asked it to shut down, so it is restarted.
    """
    guest = ctx.driver.guest(ctx.instance.uuid)
    if guest is not None:
        ctx.driver.power_off(guest.uuid)
    if was_on:
        power_actions.define_and_start(ctx, ctx.spec())
    elif guest is not None:
        ctx.driver.define(ctx.spec())


class RebuildInstance(ComputeStep[RebuildInstanceArgs, GuestBuilt]):
    """Replace the disks of the guest and start it from the new ones."""

    method = 'rebuild_instance'
    undo = UndoRebuildInstance

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the usage with the old image, and the start."""
        params = RebuildParams.narrow(uow.operation.params)
        uow.emit('exists', instance=uow.instance.replace(**params.before))
        uow.emit_start('rebuild', image_name=params.image_name)
        uow.set_task_state('rebuild_block_device_mapping')

    def run(self, ctx: StepContext, args: RebuildInstanceArgs) -> GuestBuilt:
        """Fetch the image, then replace the disks.

        A stopped instance is defined and stays off.
        """
        starts = ctx.old_vm_state != states.STOPPED
        if CONF.compute.force_config_drive:
            ctx.instance.config_drive = True
        if not (starts and power_actions.is_already_started(ctx)):
            self._replace_disks(ctx)
            spec = ctx.spec()
            if starts:
                power_actions.define_and_start(ctx, spec)
            else:
                ctx.driver.define(spec)
        return GuestBuilt(
            power_state=power_actions.read_power_state(ctx).power_state,
            config_drive=ctx.instance.config_drive,
        )

    def _replace_disks(self, ctx: StepContext) -> None:
        """Retain the disks, if there are any, and create the new ones."""
        uuid = ctx.instance.uuid
        # Before anything is given up.
        spec, image = ctx.spec(fetch_kernel=True), ctx.fetch_image()
        if ctx.find_checkpoint(OldDisksRetained) is None:
            power_actions.power_off(ctx)
            exists = _has_old_disks(ctx)
            if exists:
                ctx.driver.retain_disks(uuid)
            ctx.save_checkpoint(OldDisksRetained(exists=exists))
        elif ctx.driver.guest(uuid) is not None:
            ctx.driver.power_off(uuid)
        params = RebuildParams.narrow(ctx.params)
        ctx.driver.create_disks(
            spec, image, reuse_ephemeral=params.preserve_ephemeral
        )

    def on_checkpoint(
        self, uow: UnitOfWork, checkpoint: checkpoints.Checkpoint
    ) -> None:
        """Write that the new guest is being created."""
        uow.set_task_state('rebuild_spawning')

    def on_success(self, uow: UnitOfWork, result: GuestBuilt) -> None:
        """Release the instance; its old disks are not needed any more."""
        uow.update_instance(
            launched_at=uow.now,
            power_state=result.power_state,
            config_drive=result.config_drive,
        )
        was_stopped = uow.operation.old_vm_state == states.STOPPED
        uow.finish(states.STOPPED if was_stopped else states.ACTIVE)
        params = RebuildParams.narrow(uow.operation.params)
        uow.emit_end(
            'rebuild',
            image_name=params.image_name,
            fixed_ips=payload.fixed_ips(uow.instance),
        )
        delete.enqueue_discard(uow)


# -- the flow ----------------------------------------------------------------


class Rebuild(Flow):
    """Replace the root disk of an instance."""

    params_class = RebuildParams
    steps = (
        RebuildServer,
        RebuildInstance,
        UndoRebuildInstance,
        delete.CleanupStaleGuest,
    )

    def on_begin(self, uow: UnitOfWork) -> None:
        """Give the instance its new image; enqueue the check of the host."""
        params = RebuildParams.narrow(uow.operation.params)
        uow.update_instance(**params.changes)
        uow.enqueue(RebuildServer, NoArgs())

    def on_unwound(self, uow: UnitOfWork, error: Error) -> None:
        """Fail, with the old disks if there were any."""
        retained = _find_retained(uow)
        if retained is None or retained.exists:
            left = 'keeps its old disks'
            if not retries.list_attempts(uow, UndoRebuildInstance):
                # The host was not asked whether there are any.
                left = 'is unchanged'
            uow.fail(exception.RebuildFailed(left=left, reason=str(error)))
            return
        left = 'had no disks before and has none now; rebuild it again'
        uow.fail(
            exception.RebuildFailed(left=left, reason=str(error)),
            to_error=True,
        )

    def on_give_up(self, uow: UnitOfWork, error: Error) -> Error:
        """Name the place of the old disks, which were not restored."""
        _restore_fields(uow)
        retained = _find_retained(uow)
        left = f'has its old disks on host {uow.instance.host}'
        if retained is not None and not retained.exists:
            left = 'had no disks before'
        cause = uow.operation.error
        reason = (
            f'{serialization.decode(cause)} {error}' if cause else str(error)
        )
        return exception.RebuildFailed(
            left=f'{left}; rebuild it again', reason=reason
        )


def _find_retained(uow: UnitOfWork) -> OldDisksRetained | None:
    """Return the checkpoint of the rebuild, or of its undo, on the host."""
    for step in uow.steps():
        found = checkpoints.find(step.checkpoints, OldDisksRetained)
        if found is not None:
            return found
    return None
