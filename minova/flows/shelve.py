# SPDX-License-Identifier: Apache-2.0
"""Shelve, offload and unshelve: a server that is an image for a time.

============== ======================= ========== ============================
operation      step                    where      undone by
============== ======================= ========== ============================
shelve         shelve_instance         the host   undo_shelve_instance, then
                                                  discard_image
shelve_offload shelve_offload_instance the host   cannot be undone
..             cleanup_stale_guest     the host   pending while it is down
unshelve       unshelve_server         conductor  release of the claim
..             unshelve_instance       the host   undo_unshelve_instance
..             discard_image           the host   pending after the end
============== ======================= ========== ============================

Shelve powers the guest off and turns its root disk into an image; the host
keeps guest and disks. Offload removes both and releases the claim: the server
has no host, and keeps its addresses. A conductor offloads ``[conductor]
shelved_offload_time`` seconds after the shelve; with 0 the transaction that
ends the shelve begins the offload.

Unshelve starts the guest where it is. An offloaded server gets another host,
which creates its disks from the image, so ``unshelve_server`` runs only then.
The image is kept until the guest runs.
"""

import dataclasses
from typing import TYPE_CHECKING

from minova import exception
from minova import states
from minova.conf import CONF
from minova.flows import delete
from minova.flows import power_actions
from minova.flows import retries
from minova.flows import snapshot
from minova.flows.base import ComputeStep
from minova.flows.base import ConductorStep
from minova.flows.base import Error
from minova.flows.base import Flow
from minova.flows.base import FollowUp
from minova.flows.base import Prechecked
from minova.flows.base import Scheduler
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.notifications import payload
from minova.objects import checkpoints
from minova.objects import operation as records
from minova.objects.checkpoints import GuestUntouched
from minova.objects.checkpoints import SnapshotTaken
from minova.objects.operation_params import NoParams
from minova.objects.operation_params import ShelveParams
from minova.objects.operation_params import UnshelveParams
from minova.objects.step_args import NoArgs
from minova.objects.step_args import SelectHostArgs
from minova.objects.step_args import SnapshotArgs
from minova.objects.step_results import GuestState
from minova.objects.step_results import HostSelected
from minova.objects.step_results import NoResult
from minova.states import PowerState

if TYPE_CHECKING:
    from minova.virt.driver import GuestSpec

# -- shelve ------------------------------------------------------------------


class UndoShelveInstance(ComputeStep[SnapshotArgs, GuestState]):
    """Remove the copy of the disk; start the guest again if it was on."""

    method = 'undo_shelve_instance'
    retry_until_done = True

    def run(self, ctx: StepContext, args: SnapshotArgs) -> GuestState:
        """Remove the copy; restart a guest that was asked to shut down."""
        ctx.driver.remove_snapshot(ctx.instance.uuid, args.image_id)
        if ctx.find_checkpoint(GuestUntouched) is not None:
            return power_actions.unchanged_power_state(ctx)
        was_on = ctx.old_vm_state in (states.ACTIVE, states.PAUSED)
        if was_on and not power_actions.is_already_started(ctx):
            ctx.driver.power_off(ctx.instance.uuid)
            power_actions.power_on(ctx)
        if ctx.old_vm_state == states.PAUSED:
            ctx.driver.pause(ctx.instance.uuid)
        return power_actions.read_power_state(ctx)

    def on_success(self, uow: UnitOfWork, result: GuestState) -> None:
        """Write the power state; enqueue the deletion of the image."""
        uow.update_instance(power_state=result.power_state)
        uow.enqueue(
            snapshot.DiscardImage,
            SnapshotArgs.narrow(uow.step.args),
            host=uow.step.host,
            detached=True,
        )


class ShelveInstance(snapshot.SnapshotStep[GuestState]):
    """Power the guest off and turn its root disk into an image."""

    method = 'shelve_instance'
    #: Instead of the undo of another snapshot.
    undo = UndoShelveInstance
    pending_task_state = 'shelving_image_pending_upload'
    uploading_task_state = 'shelving_image_uploading'

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the usage until now, and the start."""
        uow.emit('exists')
        uow.emit_start('shelve')

    def run(self, ctx: StepContext, args: SnapshotArgs) -> GuestState:
        """Shut the guest down, then copy its disk and upload the copy."""
        if ctx.find_checkpoint(SnapshotTaken) is None:
            power_actions.power_off(ctx)
        self.store(ctx, ShelveParams.narrow(ctx.params).image)
        return power_actions.power_state_or(ctx, PowerState.SHUTDOWN)

    def on_success(self, uow: UnitOfWork, result: GuestState) -> None:
        """Release the instance as shelved; begin an offload that is due."""
        params = ShelveParams.narrow(uow.operation.params)
        uow.update_instance(
            power_state=result.power_state,
            progress=None,
            shelved_image_id=params.image.id,
            shelved_at=uow.now,
        )
        uow.delete_console_tokens()
        uow.finish()
        uow.emit_end('shelve')
        if CONF.conductor.shelved_offload_time == 0:
            uow.follow_ups.append(FollowUp('shelve_offload', NoParams()))


class Shelve(Flow):
    """Turn a server into an image, and keep it on its host for a time."""

    params_class = ShelveParams
    steps = (ShelveInstance, UndoShelveInstance, snapshot.DiscardImage)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Enqueue the step on the instance's host."""
        image = ShelveParams.narrow(uow.operation.params).image
        uow.enqueue(
            ShelveInstance,
            SnapshotArgs(image_id=image.id),
            host=uow.instance.host,
        )

    def after_preemption(
        self, operation: records.Operation, host: str | None
    ) -> FollowUp | None:
        """Return the removal of the copy and of the image."""
        return snapshot.discard_after(
            host, ShelveParams.narrow(operation.params).image
        )


# -- offload -----------------------------------------------------------------


class ShelveOffloadInstance(ComputeStep[NoArgs, NoResult]):
    """Remove guest and disks of a shelved server from its host."""

    method = 'shelve_offload_instance'
    retry_until_done = True
    can_finish_without_host = True

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the start."""
        uow.emit_start('shelve_offload')

    def run(self, ctx: StepContext, args: NoArgs) -> NoResult:
        """Remove guest and disks."""
        delete.destroy_guest(ctx)
        return NoResult()

    def on_success(self, uow: UnitOfWork, result: NoResult) -> None:
        """Release the claim and the instance, which has no host."""
        uow.release(str(uow.step.host))
        _mark_offloaded(uow)

    def finish_without_host(self, uow: UnitOfWork) -> None:
        """Offload in the database; the host cleans up later."""
        if uow.step.started_at is None:
            uow.emit_start('shelve_offload')
        delete.enqueue_cleanup(uow, str(uow.step.host))
        _mark_offloaded(uow)


def _mark_offloaded(uow: UnitOfWork) -> None:
    uow.set_host(None, None)
    uow.update_instance(power_state=int(PowerState.NOSTATE))
    uow.finish()
    uow.emit_end('shelve_offload')


class ShelveOffload(Flow):
    """Release the host of a shelved server."""

    #: A guest that cannot be removed yet can be unshelved or offloaded again.
    is_self_correcting = True
    steps = (ShelveOffloadInstance, delete.CleanupStaleGuest)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Enqueue the removal on the instance's host."""
        uow.enqueue(ShelveOffloadInstance, NoArgs(), host=uow.instance.host)


# -- unshelve ----------------------------------------------------------------


class UnshelveServer(ConductorStep[SelectHostArgs, HostSelected]):
    """Select a host for an offloaded server and claim its resources."""

    method = 'unshelve_server'
    event_method = 'unshelve_instance'

    def run(
        self,
        uow: UnitOfWork,
        scheduler: Scheduler,
        args: SelectHostArgs,
        prechecked: Prechecked,
    ) -> HostSelected:
        """Make the selected host the owner of the instance.

        A host that has not removed the old guest yet is not selected: its
        pending clean-up would meet the new one.
        """
        params = UnshelveParams.narrow(uow.operation.params)
        if params.sets_zone:
            _set_zone(uow, params.availability_zone)
        excluded = dict.fromkeys(
            uow.list_busy_hosts(), 'it still has parts of the server'
        )
        selected = scheduler.select_host(
            uow,
            uow.instance.flavor,
            consumer=uow.instance.uuid,
            requested_host=params.host,
            excluded_hosts=excluded | args.excluded_hosts,
        )
        uow.set_host(selected.host, selected.hypervisor_hostname)
        uow.enqueue(UnshelveInstance, NoArgs(), host=selected.host)
        return HostSelected(host=selected.host)

    def on_undo(self, uow: UnitOfWork, step: records.Step) -> None:
        """Release the claim on the host; restore the zone."""
        params = UnshelveParams.narrow(uow.operation.params)
        if params.sets_zone:
            _set_zone(uow, params.previous_zone)
        if step.result is not None:
            uow.release(HostSelected.narrow(step.result).host)
            uow.set_host(None, None)


def _set_zone(uow: UnitOfWork, zone: str | None) -> None:
    spec = uow.instance.request_spec.replace(availability_zone=zone)
    uow.update_instance(request_spec=spec)


class UndoUnshelveInstance(ComputeStep[NoArgs, GuestState]):
    """Remove the new guest, or power the shelved one off again."""

    method = 'undo_unshelve_instance'
    retry_until_done = True

    def run(self, ctx: StepContext, args: NoArgs) -> GuestState:
        """Leave the host as it was."""
        untouched = ctx.find_checkpoint(GuestUntouched) is not None
        if ctx.old_vm_state == states.SHELVED_OFFLOADED:
            if not untouched:
                ctx.driver.destroy(ctx.instance.uuid)
            ctx.driver.remove_disks(ctx.instance.uuid)
            return GuestState(power_state=int(PowerState.NOSTATE))
        if untouched:
            return power_actions.unchanged_power_state(ctx)
        power_actions.power_off(ctx)
        return power_actions.read_power_state(ctx)

    def on_success(self, uow: UnitOfWork, result: GuestState) -> None:
        """Write the power state."""
        uow.update_instance(power_state=result.power_state)

    def is_deferrable(self, step: records.Step) -> bool:
        """Let another host unshelve the server if none can run on this one."""
        return checkpoints.find(step.checkpoints, GuestUntouched) is not None


class UnshelveInstance(ComputeStep[NoArgs, GuestState]):
    """Start the guest, from the image if the host has no disks of it."""

    method = 'unshelve_instance'
    undo = UndoUnshelveInstance

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the start; an offloaded server is spawned now."""
        if uow.operation.old_vm_state == states.SHELVED_OFFLOADED:
            uow.set_task_state('spawning')
        uow.emit_start('unshelve')

    def run(self, ctx: StepContext, args: NoArgs) -> GuestState:
        """Create missing disks; resume saved memory, or boot."""
        uuid = ctx.instance.uuid
        # Fail before the download when the hypervisor does not answer.
        guest = ctx.driver.guest(uuid)
        if guest is not None and ctx.driver.has_managed_save(uuid):
            ctx.driver.resume(uuid)
        elif not power_actions.is_already_started(ctx):
            if guest is not None and guest.is_on:
                # It was started outside of Minova.
                ctx.driver.power_off(uuid)
            if not ctx.driver.has_disks(uuid):
                ctx.driver.create_disks(
                    _image_spec(ctx),
                    ctx.fetch_image(ctx.instance.shelved_image_id),
                )
            power_actions.power_on(ctx)
        return power_actions.power_state_or(ctx, PowerState.RUNNING)

    def on_success(self, uow: UnitOfWork, result: GuestState) -> None:
        """Release the instance as active; delete the image."""
        image_id = uow.instance.shelved_image_id
        uow.update_instance(
            power_state=result.power_state,
            launched_at=uow.now,
            shelved_image_id=None,
            shelved_at=None,
        )
        uow.finish()
        uow.emit_end('unshelve', fixed_ips=payload.fixed_ips(uow.instance))
        uow.enqueue(
            snapshot.DiscardImage,
            SnapshotArgs(image_id=image_id),
            host=uow.step.host,
            detached=True,
        )

    def on_failure(self, uow: UnitOfWork, error: Error) -> None:
        """Emit the failure of this host; another host may follow."""
        uow.emit_error('unshelve', error)


def _image_spec(ctx: StepContext) -> 'GuestSpec':
    """Return the guest with the image of the shelved server."""
    spec = ctx.spec(fetch_kernel=True)
    params = UnshelveParams.narrow(ctx.params)
    return dataclasses.replace(
        spec,
        image_id=str(ctx.instance.shelved_image_id),
        image=spec.image | {'disk_format': params.disk_format},
    )


class Unshelve(Flow):
    """Start a shelved server, on its host or on another one."""

    params_class = UnshelveParams
    steps = (
        UnshelveServer,
        UnshelveInstance,
        UndoUnshelveInstance,
        snapshot.DiscardImage,
    )

    def on_begin(self, uow: UnitOfWork) -> None:
        """Enqueue the start, or the selection of a host before it."""
        if uow.instance.host is not None:
            uow.enqueue(UnshelveInstance, NoArgs(), host=uow.instance.host)
        else:
            uow.enqueue(UnshelveServer, SelectHostArgs(excluded_hosts={}))

    def on_unwound(self, uow: UnitOfWork, error: Error) -> None:
        """Try another host for an offloaded server, if one can help."""
        tried = retries.list_attempts(uow, UnshelveInstance)
        params = UnshelveParams.narrow(uow.operation.params)
        hopeless = (
            uow.instance.host is not None
            or params.host is not None
            or isinstance(error, exception.Refused)
            or len(tried) >= CONF.scheduler.max_attempts
        )
        if not tried or hopeless:
            uow.fail(error)
            return
        uow.restart()
        uow.enqueue(
            UnshelveServer, retries.select_after(uow, tried[-1], error)
        )
