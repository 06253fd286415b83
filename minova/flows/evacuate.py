# SPDX-License-Identifier: Apache-2.0
"""Evacuate: another host gets the server of a host that is down.

= ============================ ========= ================ ===================
# step                         where     task states      undone by
= ============================ ========= ================ ===================
1 fence_host                   conductor rebuilding       nothing
2 evacuate_server              conductor rebuilding       release of the claim
3 rebuild_evacuated_instance   dest      rebuild_block_   undo_rebuild_
                                         device_mapping,  evacuated_instance
                                         rebuild_spawning
4 destroy_evacuated_instance   source                     cannot be undone
= ============================ ========= ================ ===================

``engine.evacuation`` requires the proof that the source does not run the
guest. Step 1 gives it, by a program of ``[fencing]``, unless the source is
forced down or fenced already. With ``[fencing] trust_disk_locks`` step 3 may
give it: it takes a shared disk only while no guest has it open. From step 2
on the destination owns the instance, so that a source that returns in the
middle powers its guest off. It keeps both until the server runs elsewhere:
when no destination succeeds, the server stays with the source.

The operation releases the instance at the end of step 3. Step 4 is pending
until the source returns; its compute removes guest and disks before it
registers (``compute.stale_guests``), and the step releases the claim.
"""

from minova import exception
from minova import migration_states
from minova import states
from minova.conf import CONF
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
from minova.objects.checkpoints import Checkpoint
from minova.objects.checkpoints import GuestUntouched
from minova.objects.checkpoints import SharedDisksTaken
from minova.objects.instance import Instance
from minova.objects.operation_params import EvacuateParams
from minova.objects.operation_params import OperationParams
from minova.objects.step_args import NoArgs
from minova.objects.step_args import SelectHostArgs
from minova.objects.step_results import GuestState
from minova.objects.step_results import HostFenced
from minova.objects.step_results import HostSelected
from minova.objects.step_results import NoResult

# -- on a conductor ----------------------------------------------------------


class FenceHost(ConductorStep[NoArgs, HostFenced]):
    """Power the source off, so that it cannot run the guest."""

    method = 'fence_host'
    needs_precheck = True
    runs_program = True

    def precheck(
        self,
        scheduler: Scheduler,
        step: records.Step,
        params: OperationParams,
        instance: Instance,
    ) -> HostFenced:
        """Run the fence agent of the source, or find that it is off."""
        return scheduler.fence(str(instance.host))

    def run(
        self,
        uow: UnitOfWork,
        scheduler: Scheduler,
        args: NoArgs,
        prechecked: Prechecked,
    ) -> HostFenced:
        """Record the answer of the agent and go on."""
        assert isinstance(prechecked, HostFenced)
        uow.enqueue(EvacuateServer, SelectHostArgs(excluded_hosts={}))
        return prechecked


class EvacuateServer(ConductorStep[SelectHostArgs, HostSelected]):
    """Select a destination and make it the owner of the instance."""

    method = 'evacuate_server'
    event_method = 'rebuild_server'

    def run(
        self,
        uow: UnitOfWork,
        scheduler: Scheduler,
        args: SelectHostArgs,
        prechecked: Prechecked,
    ) -> HostSelected:
        """Claim the destination for the instance, and keep the old claim."""
        instance, migration = uow.instance, uow.migration
        params = EvacuateParams.narrow(uow.operation.params)
        source = migration.source_host
        selected = scheduler.select_host(
            uow,
            instance.flavor,
            consumer=uow.operation.id,
            requested_host=params.host,
            excluded_hosts={
                **scheduler.shut_out(uow, source, params.needs_disk_lock),
                **args.excluded_hosts,
                source: 'the server is evacuated from it',
            },
            is_forced=params.force,
        )
        uow.begin_migration(
            migration_states.EVACUATION,
            dest_host=selected.host,
            dest_node=selected.hypervisor_hostname,
            dest_ip=selected.address,
            new_flavor=instance.flavor,
        )
        _exchange_claims(uow, source, selected.host)
        uow.set_host(selected.host, selected.hypervisor_hostname)
        uow.emit('rebuild.scheduled')
        uow.enqueue(RebuildEvacuatedInstance, NoArgs(), host=selected.host)
        return HostSelected(host=selected.host)

    def on_undo(self, uow: UnitOfWork, step: records.Step) -> None:
        """Make the source the owner of the instance again."""
        if step.result is None:
            return
        host, migration = HostSelected.narrow(step.result).host, uow.migration
        _exchange_claims(uow, host, migration.source_host)
        uow.release(host, consumer=uow.operation.id)
        uow.set_host(migration.source_host, migration.source_node)


def _exchange_claims(uow: UnitOfWork, old: str, new: str) -> None:
    """Give the claim on a new host to the instance, the old one back."""
    instance, operation = uow.instance, uow.operation
    uow.transfer_claim(old, instance.uuid, to=operation.id)
    uow.transfer_claim(new, operation.id, to=instance.uuid)


# -- on the destination ------------------------------------------------------


class UndoRebuildEvacuatedInstance(ComputeStep[NoArgs, NoResult]):
    """Remove the guest from a destination that failed."""

    method = 'undo_rebuild_evacuated_instance'
    retry_until_done = True

    def run(self, ctx: StepContext, args: NoArgs) -> NoResult:
        """Remove guest and disks; only disks if no guest was defined.

        Shared disks go back to the old host.
        """
        uuid = ctx.instance.uuid
        if ctx.find_checkpoint(GuestUntouched) is None:
            ctx.driver.destroy(uuid)
        if EvacuateParams.narrow(ctx.params).keeps_disks:
            ctx.driver.set_disk_owner(uuid, ctx.migration.source_host)
        else:
            ctx.driver.remove_disks(uuid)
        return NoResult()

    def is_deferrable(self, step: records.Step) -> bool:
        """Let another host build the guest if none can run on this one."""
        return checkpoints.find(step.checkpoints, GuestUntouched) is not None


class RebuildEvacuatedInstance(ComputeStep[NoArgs, GuestState]):
    """Keep shared disks or create them from the image; define the guest."""

    method = 'rebuild_evacuated_instance'
    event_method = 'rebuild_instance'
    undo = UndoRebuildEvacuatedInstance

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the usage until now and the start of the rebuild."""
        uow.advance_migration(migration_states.PRE_MIGRATING)
        uow.emit('exists')
        uow.emit_start('rebuild', image_name=_image_name(uow))
        uow.set_task_state('rebuild_block_device_mapping')
        uow.set_task_state('rebuild_spawning')

    def run(self, ctx: StepContext, args: NoArgs) -> GuestState:
        """Create what is missing; start the guest unless it ends stopped."""
        _require_nothing_here(ctx)
        params = EvacuateParams.narrow(ctx.params)
        if _keeps_disks(ctx, params):
            ctx.driver.set_disk_owner(ctx.instance.uuid, ctx.host)
        else:
            spec = ctx.spec(fetch_kernel=True)
            ctx.driver.create_disks(spec, ctx.fetch_image())
        if params.target_state == states.ACTIVE:
            power_actions.power_on(ctx)
        else:
            ctx.driver.define(ctx.spec())
        return power_actions.read_power_state(ctx)

    def on_checkpoint(self, uow: UnitOfWork, checkpoint: Checkpoint) -> None:
        """Record for the undo that the disks are those of the old host."""
        _set_keeps_disks(uow, True)

    def on_undo(self, uow: UnitOfWork, step: records.Step) -> None:
        """Record that the old host has its disks again."""
        _set_keeps_disks(uow, False)

    def on_success(self, uow: UnitOfWork, result: GuestState) -> None:
        """Release the instance; the source removes the old guest."""
        params = EvacuateParams.narrow(uow.operation.params)
        migration = uow.migration
        uow.update_instance(
            launched_at=uow.now, power_state=result.power_state
        )
        uow.delete_console_tokens()
        uow.finish(old_vm_state=params.target_state)
        uow.advance_migration(migration_states.DONE)
        old_hosts = {migration.source_host, *params.other_hosts}
        for host in sorted(old_hosts - {str(uow.instance.host)}):
            uow.enqueue(
                DestroyEvacuatedInstance, NoArgs(), host=host, detached=True
            )
        uow.emit_end(
            'rebuild',
            image_name=params.image_name,
            fixed_ips=payload.fixed_ips(uow.instance),
        )

    def on_failure(self, uow: UnitOfWork, error: Error) -> None:
        """Emit the failure of this host; another host may follow."""
        uow.emit_error('rebuild', error)


def _set_keeps_disks(uow: UnitOfWork, value: bool) -> None:
    params = EvacuateParams.narrow(uow.operation.params)
    if params.keeps_disks != value:
        uow.operation.params = params.replace(keeps_disks=value)


def _keeps_disks(ctx: StepContext, params: EvacuateParams) -> bool:
    """Tell whether the disks are on shared storage; record it if so.

    Raises InvalidSharedStorage or InvalidLocalStorage when the request below
    2.14 claims the opposite, and DiskNotShared when only the lock of a shared
    disk could prove that the old host does not run the guest.
    """
    uuid = ctx.instance.uuid
    if ctx.find_checkpoint(SharedDisksTaken) is not None:
        return True
    shared = not ctx.driver.has_disks(uuid) and (
        ctx.driver.has_shared_disks(uuid)
    )
    claimed = params.on_shared_storage
    if claimed is not None and claimed != shared:
        path = f'The disk of instance {uuid}'
        reason = f'onSharedStorage is {str(claimed).lower()}'
        if shared:
            raise exception.InvalidSharedStorage(path=path, reason=reason)
        raise exception.InvalidLocalStorage(path=path, reason=reason)
    if params.needs_disk_lock and not shared:
        raise exception.DiskNotShared(
            instance_id=uuid, host=ctx.migration.source_host, dest=ctx.host
        )
    if shared:
        ctx.save_checkpoint(SharedDisksTaken())
    return shared


def _require_nothing_here(ctx: StepContext) -> None:
    """Refuse a guest or disks that an earlier operation has left here."""
    uuid = ctx.instance.uuid
    if not ctx.is_resumed and (
        ctx.driver.guest(uuid)
        or ctx.driver.has_disks(uuid)
        or ctx.driver.has_retained_disks(uuid)
    ):
        raise exception.GuestFailed(
            instance_id=uuid,
            reason=f'host {ctx.host} still has a guest or disks of it',
        )


def _image_name(uow: UnitOfWork) -> str:
    return EvacuateParams.narrow(uow.operation.params).image_name


# -- on the source -----------------------------------------------------------


class DestroyEvacuatedInstance(ComputeStep[NoArgs, NoResult]):
    """Remove the old guest and its disks from a host that has returned."""

    method = 'destroy_evacuated_instance'
    retry_until_done = True
    deferrable = True
    urgent = True

    def run(self, ctx: StepContext, args: NoArgs) -> NoResult:
        """Remove them, unless the server is on this host again."""
        uuid = ctx.instance.uuid
        is_deleted = ctx.instance.vm_state == states.DELETED
        if is_deleted or ctx.instance.host != ctx.host:
            ctx.driver.destroy(uuid)
            ctx.driver.remove_disks(uuid)
            ctx.driver.discard_disks(uuid)
        return NoResult()

    def on_success(self, uow: UnitOfWork, result: NoResult) -> None:
        """Release the claims of the old guest."""
        host, instance = str(uow.step.host), uow.instance
        is_here = instance.host == host and (
            instance.vm_state != states.DELETED
        )
        uow.release(host, consumer=uow.operation.id if is_here else None)


# -- the flow ----------------------------------------------------------------


class Evacuate(Flow):
    """Rebuild the server on a host that the scheduler selects."""

    params_class = EvacuateParams
    has_migration = True
    steps = (
        FenceHost,
        EvacuateServer,
        RebuildEvacuatedInstance,
        UndoRebuildEvacuatedInstance,
        DestroyEvacuatedInstance,
    )

    def on_begin(self, uow: UnitOfWork) -> None:
        """Write the migration and enqueue the selection of a host."""
        uow.begin_migration(
            migration_states.EVACUATION,
            dest_host=None,
            dest_node=None,
            dest_ip=None,
            new_flavor=uow.instance.flavor,
        )
        params = EvacuateParams.narrow(uow.operation.params)
        if params.fences_host:
            uow.enqueue(FenceHost, NoArgs(), not_before=params.begins_at)
        else:
            uow.enqueue(EvacuateServer, SelectHostArgs(excluded_hosts={}))
        uow.emit('evacuate')

    def on_unwound(self, uow: UnitOfWork, error: Error) -> None:
        """Try another host, unless another host cannot help."""
        attempts = retries.list_attempts(uow, RebuildEvacuatedInstance)
        is_requested = EvacuateParams.narrow(uow.operation.params).host
        if (
            not attempts
            or is_requested
            or isinstance(error, exception.Refused)
            or len(attempts) >= CONF.scheduler.max_attempts
        ):
            uow.end_migration(migration_states.ERROR)
            uow.fail(error)
            return
        uow.restart()
        uow.enqueue(
            EvacuateServer, retries.select_after(uow, attempts[-1], error)
        )
