# SPDX-License-Identifier: Apache-2.0
"""Soft delete and restore: a deleted server is kept for a time.

=========== ========================= ========== =============================
operation   step                      where      undone by
=========== ========================= ========== =============================
soft_delete soft_delete_instance      the host   cannot be undone
..          power_off_soft_deleted    the host   pending until it is off
restore     restore_instance          the host   undo_restore_instance
=========== ========================= ========== =============================

The guest is powered off and kept with its disks, addresses and claim. While
the host is down, or does not power the guest off, the database goes first and
the power-off is pending. A conductor deletes the server ``[conductor]
reclaim_instance_interval`` seconds later, with a delete as any other.

A server without a host, which is shelved and offloaded, has no guest: only the
database changes, and it is shelved and offloaded again when it is restored.
"""

from oslo_log import log as logging

from minova import exception
from minova import states
from minova.flows import power_actions
from minova.flows import snapshot
from minova.flows.base import ComputeStep
from minova.flows.base import Flow
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.objects.checkpoints import GuestUntouched
from minova.objects.operation_params import SoftDeleteParams
from minova.objects.step_args import NoArgs
from minova.objects.step_args import SnapshotArgs
from minova.objects.step_results import GuestState
from minova.states import PowerState

LOG = logging.getLogger(__name__)

# -- soft delete -------------------------------------------------------------


class PowerOffSoftDeleted(ComputeStep[NoArgs, GuestState]):
    """Power off a guest that was soft-deleted while its host was down."""

    method = 'power_off_soft_deleted'
    retry_until_done = True
    deferrable = True

    def run(self, ctx: StepContext, args: NoArgs) -> GuestState:
        """Power it off, unless it was restored or removed meanwhile."""
        if ctx.instance.vm_state != states.SOFT_DELETE:
            return power_actions.unchanged_power_state(ctx)
        power_actions.power_off(ctx)
        return power_actions.power_state_or(ctx, PowerState.SHUTDOWN)

    def on_success(self, uow: UnitOfWork, result: GuestState) -> None:
        """Write the power state."""
        uow.update_instance(power_state=result.power_state)


class SoftDeleteInstance(ComputeStep[NoArgs, GuestState]):
    """Power the guest off."""

    method = 'soft_delete_instance'
    retry_until_done = True
    can_finish_without_host = True

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the start."""
        uow.emit_start('soft_delete')

    def run(self, ctx: StepContext, args: NoArgs) -> GuestState:
        """Shut the guest down; power it off when it does not stop.

        A guest that the hypervisor does not power off has an unknown state.
        """
        try:
            power_actions.power_off(ctx)
        except exception.GuestFailed as error:
            LOG.warning(
                'Guest %s: soft-deleted, the power-off is pending: %s',
                ctx.instance.uuid,
                error,
            )
            return GuestState(power_state=int(PowerState.NOSTATE))
        return power_actions.power_state_or(ctx, PowerState.SHUTDOWN)

    def on_success(self, uow: UnitOfWork, result: GuestState) -> None:
        """Release the instance as soft-deleted."""
        if result.power_state == PowerState.NOSTATE:
            _enqueue_power_off(uow, str(uow.step.host))
        else:
            uow.update_instance(power_state=result.power_state)
        _mark_soft_deleted(uow)

    def finish_without_host(self, uow: UnitOfWork) -> None:
        """Soft-delete in the database; the host powers the guest off."""
        if uow.step.started_at is None:
            uow.emit_start('soft_delete')
        _enqueue_power_off(uow, str(uow.step.host))
        _mark_soft_deleted(uow)


def _mark_soft_deleted(uow: UnitOfWork) -> None:
    uow.update_instance(deleted_at=uow.now)
    uow.delete_console_tokens()
    uow.finish()
    uow.emit_end('soft_delete')


def _enqueue_power_off(uow: UnitOfWork, host: str) -> None:
    uow.enqueue(PowerOffSoftDeleted, NoArgs(), host=host, detached=True)


class SoftDelete(Flow):
    """Power the guest off and hide the server from lists."""

    params_class = SoftDeleteParams
    steps = (SoftDeleteInstance, PowerOffSoftDeleted)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Enqueue the power-off, or finish without the host."""
        host = uow.instance.host
        params = SoftDeleteParams.narrow(uow.operation.params)
        if host is not None and not params.host_down:
            uow.enqueue(SoftDeleteInstance, NoArgs(), host=host)
            return
        uow.emit_start('soft_delete')
        if host is not None:
            _enqueue_power_off(uow, host)
        _mark_soft_deleted(uow)


# -- restore -----------------------------------------------------------------


class UndoRestoreInstance(ComputeStep[NoArgs, GuestState]):
    """Power the guest off again after a failed restore."""

    method = 'undo_restore_instance'
    retry_until_done = True

    def run(self, ctx: StepContext, args: NoArgs) -> GuestState:
        """Power it off, unless the restore has not changed it."""
        if ctx.find_checkpoint(GuestUntouched) is not None:
            return power_actions.unchanged_power_state(ctx)
        power_actions.power_off(ctx)
        return power_actions.read_power_state(ctx)

    def on_success(self, uow: UnitOfWork, result: GuestState) -> None:
        """Write the power state."""
        uow.update_instance(power_state=result.power_state)


class RestoreInstance(ComputeStep[NoArgs, GuestState]):
    """Start the guest again."""

    method = 'restore_instance'
    undo = UndoRestoreInstance

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the start."""
        uow.emit_start('restore')

    def run(self, ctx: StepContext, args: NoArgs) -> GuestState:
        """Resume it from saved memory, or boot it from its own disk.

        It may have been suspended, or rescued.
        """
        uuid = ctx.instance.uuid
        if ctx.driver.has_managed_save(uuid):
            ctx.driver.resume(uuid)
        elif not power_actions.is_already_started(ctx):
            # Off, unless it was started outside of Minova.
            power_actions.power_off(ctx)
            power_actions.power_on(ctx)
        ctx.driver.remove_rescue_disk(uuid)
        return power_actions.power_state_or(ctx, PowerState.RUNNING)

    def on_success(self, uow: UnitOfWork, result: GuestState) -> None:
        """Release the instance as active."""
        uow.update_instance(power_state=result.power_state)
        _mark_restored(uow, states.ACTIVE)


def _mark_restored(uow: UnitOfWork, vm_state: str) -> None:
    uow.update_instance(deleted_at=None)
    image_id = uow.instance.shelved_image_id
    if vm_state == states.ACTIVE and image_id is not None:
        # It was shelved, and is not any more.
        uow.update_instance(shelved_at=None, shelved_image_id=None)
        uow.enqueue(
            snapshot.DiscardImage,
            SnapshotArgs(image_id=image_id),
            host=uow.step.host,
            detached=True,
        )
    uow.finish(old_vm_state=vm_state)
    uow.emit_end('restore')


class Restore(Flow):
    """Start the guest of a soft-deleted server."""

    steps = (RestoreInstance, UndoRestoreInstance, snapshot.DiscardImage)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Enqueue the start; without a host, finish at once."""
        if uow.instance.host is not None:
            uow.enqueue(RestoreInstance, NoArgs(), host=uow.instance.host)
            return
        uow.emit_start('restore')
        _mark_restored(uow, states.SHELVED_OFFLOADED)
