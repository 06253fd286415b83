# SPDX-License-Identifier: Apache-2.0
"""Resize and cold migration: the guest is off while its host or size changes.

= ====================== ========= ================= ======================
# step                   where     task states       undone by
= ====================== ========= ================= ======================
1 migrate_server         conductor resize_prep       release of the claim
2 prep_resize            dest                        undo_prep_resize
3 resize_instance        source    resize_migrating, undo_resize_instance
                                   resize_migrated
4 finish_resize          dest      resize_finish     undo_finish_resize
= ====================== ========= ================= ======================

The source keeps the definition of the old guest and retains its disks until
the user confirms (``confirm_resize``) or reverts (``revert_resize``).

When a host fails in ``prep_resize`` the scheduler selects another one. Once
the guest is off, the resize either finishes or is rolled back to the source;
the rollback removes the guest of the destination before it starts the old one.
"""

from typing import ClassVar
from typing import TYPE_CHECKING

from minova import clock
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
from minova.objects import operation as records
from minova.objects.checkpoints import GuestUntouched
from minova.objects.operation_params import MigrateParams
from minova.objects.operation_params import OperationParams
from minova.objects.operation_params import ResizeParams
from minova.objects.step_args import NoArgs
from minova.objects.step_args import ResizeInstanceArgs
from minova.objects.step_args import SelectHostArgs
from minova.objects.step_results import DestinationPrepared
from minova.objects.step_results import DisksSent
from minova.objects.step_results import GuestState
from minova.objects.step_results import HostSelected
from minova.objects.step_results import NoResult
from minova.objects.transfer_ticket import TransferTicket

if TYPE_CHECKING:
    from minova.virt.driver import TransferProgress

#: Seconds between two reports of the progress of the disks.
_REPORT_INTERVAL = 1.0


# -- on a conductor ----------------------------------------------------------


class MigrateServer(ConductorStep[SelectHostArgs, HostSelected]):
    """Select the destination and claim the new flavor there."""

    method = 'migrate_server'

    def run(
        self,
        uow: UnitOfWork,
        scheduler: Scheduler,
        args: SelectHostArgs,
        prechecked: Prechecked,
    ) -> HostSelected:
        """Write the migration record, or another destination to it."""
        instance = uow.instance
        params = MigrateParams.narrow(uow.operation.params)
        flavor = instance.flavor
        resize = isinstance(params, ResizeParams)
        if isinstance(params, ResizeParams):
            flavor = params.flavor
        excluded = dict(args.excluded_hosts)
        if not (resize and CONF.scheduler.allow_resize_to_same_host):
            excluded[str(instance.host)] = 'it has the server'
        selected = scheduler.select_host(
            uow,
            flavor,
            consumer=uow.operation.id,
            requested_host=params.host,
            excluded_hosts=excluded,
        )
        cold = migration_states.COLD_MIGRATION
        uow.begin_migration(
            migration_states.RESIZE if resize else cold,
            dest_host=selected.host,
            dest_node=selected.hypervisor_hostname,
            dest_ip=selected.address,
            new_flavor=flavor,
        )
        uow.enqueue(PrepResize, NoArgs(), host=selected.host)
        return HostSelected(host=selected.host)

    def on_undo(self, uow: UnitOfWork, step: records.Step) -> None:
        """Release the claim."""
        if step.result is not None:
            host = HostSelected.narrow(step.result).host
            uow.release(host, consumer=uow.operation.id)


# -- on the destination ------------------------------------------------------


class UndoPrepResize(ComputeStep[NoArgs, NoResult]):
    """Remove the received disks from the destination."""

    method = 'undo_prep_resize'
    retry_until_done = True
    deferrable = True

    def run(self, ctx: StepContext, args: NoArgs) -> NoResult:
        """Remove the disks; the guest was never defined here."""
        if not ctx.migration.is_same_host:
            ctx.driver.remove_disks(ctx.instance.uuid)
        return NoResult()


class PrepResize(ComputeStep[NoArgs, DestinationPrepared]):
    """Check the destination and issue the ticket for the disks."""

    method = 'prep_resize'
    undo = UndoPrepResize

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the usage until now, and the start of the preparation."""
        uow.emit('exists')
        uow.emit_start('resize.prep')

    def run(self, ctx: StepContext, args: NoArgs) -> DestinationPrepared:
        """Refuse a guest or disks that exist here; issue the ticket."""
        uuid = ctx.instance.uuid
        if ctx.migration.is_same_host:
            return DestinationPrepared()
        if ctx.driver.guest(uuid) or ctx.driver.has_retained_disks(uuid):
            raise exception.GuestFailed(
                instance_id=uuid,
                reason=f'host {ctx.host} still has a guest or disks of it, '
                'which the next power synchronization of the host removes',
            )
        ticket = ctx.driver.prepare_disk_transfer(ctx.spec())
        return DestinationPrepared(transfer_ticket=ticket)

    def on_success(self, uow: UnitOfWork, result: DestinationPrepared) -> None:
        """Enqueue the transfer on the source."""
        uow.enqueue(
            ResizeInstance,
            ResizeInstanceArgs(transfer_ticket=result.transfer_ticket),
            host=uow.migration.source_host,
        )
        self._emit_prep_end(uow)

    def on_failure(self, uow: UnitOfWork, error: Error) -> None:
        """Emit the failure of this host; another host may follow."""
        uow.emit_error('resize', error)
        self._emit_prep_end(uow)

    def _emit_prep_end(self, uow: UnitOfWork) -> None:
        flavor = uow.migration.new_flavor
        uow.emit_end(
            'resize.prep',
            new_instance_type=flavor.name,
            new_instance_type_id=flavor.id,
        )


# -- on the source -----------------------------------------------------------


class UndoResizeInstance(ComputeStep[ResizeInstanceArgs, GuestState]):
    """Restore the old guest."""

    method = 'undo_resize_instance'
    retry_until_done = True

    def run(self, ctx: StepContext, args: ResizeInstanceArgs) -> GuestState:
        """Restore the disks; start the guest if it was active."""
        if ctx.find_checkpoint(GuestUntouched) is not None:
            return power_actions.unchanged_power_state(ctx)
        ctx.driver.restore_disks(ctx.instance.uuid)
        if ctx.old_vm_state == states.ACTIVE:
            power_actions.power_on(ctx)
        return power_actions.read_power_state(ctx)

    def on_success(self, uow: UnitOfWork, result: GuestState) -> None:
        """Write the power state."""
        uow.update_instance(power_state=result.power_state)


class ResizeInstance(ComputeStep[ResizeInstanceArgs, DisksSent]):
    """Power the guest off and send its disks to the destination."""

    method = 'resize_instance'
    undo = UndoResizeInstance

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the start; the guest goes off now."""
        uow.set_task_state('resize_migrating')
        uow.emit_start('resize', fixed_ips=payload.fixed_ips(uow.instance))
        uow.advance_migration(migration_states.MIGRATING)

    def run(self, ctx: StepContext, args: ResizeInstanceArgs) -> DisksSent:
        """Send the disks, then retain the own ones for a revert."""
        uuid = ctx.instance.uuid
        if ctx.migration.is_same_host:
            power_actions.power_off(ctx)
            ctx.driver.retain_disks(uuid, copy=True)
            power_state = power_actions.read_power_state(ctx).power_state
            return DisksSent(power_state=power_state)
        ticket = TransferTicket.narrow(args.transfer_ticket)
        # The guest keeps running while the destination is unreachable.
        ctx.driver.check_can_send_disks(uuid, ctx.peer(), ticket)
        power_actions.power_off(ctx)
        progress = _send_disks(ctx, ticket)
        # Also completes an interrupted earlier attempt.
        ctx.driver.retain_disks(uuid)
        return DisksSent(
            power_state=power_actions.read_power_state(ctx).power_state,
            **(_byte_counts(progress) if progress else {}),
        )

    def on_success(self, uow: UnitOfWork, result: DisksSent) -> None:
        """Make the destination the owner of the instance."""
        migration = uow.migration
        uow.set_host(migration.dest_host, migration.dest_node)
        uow.update_instance(power_state=result.power_state)
        uow.set_task_state('resize_migrated')
        uow.advance_migration(migration_states.POST_MIGRATING)
        if result.disk_total is not None:
            uow.save_migration(
                disk_total=result.disk_total,
                disk_processed=result.disk_processed,
                disk_remaining=result.disk_remaining,
            )
        uow.enqueue(FinishResize, NoArgs(), host=migration.dest_host)
        uow.emit_end('resize', fixed_ips=payload.fixed_ips(uow.instance))

    def is_retryable(self, error: Error) -> bool:
        """Retry an interrupted transfer: the destination keeps its part."""
        return isinstance(error, exception.DiskTransferInterrupted)

    def on_undo(self, uow: UnitOfWork, step: records.Step) -> None:
        """Make the source the owner of the instance again."""
        migration = uow.migration
        uow.set_host(migration.source_host, migration.source_node)


def _send_disks(
    ctx: StepContext, ticket: TransferTicket
) -> 'TransferProgress | None':
    """Send the disks and report the progress.

    Returns the last progress, None when an earlier attempt sent the disks.
    Raises Cancelled, Stale or DeadlineExceeded between two chunks.
    """
    reported, progress = clock.monotonic(), None
    for progress in ctx.driver.send_disks(
        ctx.instance.uuid, ctx.peer(), ticket
    ):
        ctx.check_cancelled()
        if ctx.seconds_left() <= 0:
            raise exception.DeadlineExceeded(
                operation=ctx.kind,
                reason=f'{progress.done} of {progress.total} bytes of the '
                'disks were sent',
            )
        if clock.monotonic() - reported >= _REPORT_INTERVAL:
            reported = clock.monotonic()
            ctx.report_progress(**_byte_counts(progress))
    return progress


def _byte_counts(progress: 'TransferProgress') -> dict[str, int]:
    return {
        'disk_total': progress.total,
        'disk_processed': progress.done,
        'disk_remaining': progress.total - progress.done,
    }


# -- on the destination ------------------------------------------------------


class UndoFinishResize(ComputeStep[NoArgs, NoResult]):
    """Remove the new guest, so that the old one may start."""

    method = 'undo_finish_resize'
    retry_until_done = True

    def run(self, ctx: StepContext, args: NoArgs) -> NoResult:
        """Remove guest and disks; only disks if no guest was defined."""
        if ctx.find_checkpoint(GuestUntouched) is None:
            ctx.driver.destroy(ctx.instance.uuid)
        ctx.driver.remove_disks(ctx.instance.uuid)
        return NoResult()


class FinishResize(ComputeStep[NoArgs, GuestState]):
    """Define the guest with the new flavor; start it if it was active."""

    method = 'finish_resize'
    undo = UndoFinishResize

    def on_start(self, uow: UnitOfWork) -> None:
        """Set the new flavor of the instance; emit the start."""
        uow.update_instance(flavor=uow.migration.new_flavor)
        uow.set_task_state('resize_finish')
        uow.emit_start(
            'finish_resize', fixed_ips=payload.fixed_ips(uow.instance)
        )

    def run(self, ctx: StepContext, args: NoArgs) -> GuestState:
        """Commit and grow the disks; define and start the guest."""
        spec = ctx.spec()
        ctx.driver.commit_received_disks(spec.uuid)
        ctx.driver.grow_disks(spec)
        if ctx.old_vm_state == states.ACTIVE:
            power_actions.power_on(ctx)
        else:
            ctx.driver.define(spec)
        return power_actions.read_power_state(ctx)

    def on_success(self, uow: UnitOfWork, result: GuestState) -> None:
        """Release the instance as resized, for a confirm or a revert."""
        migration, instance = uow.migration, uow.instance
        uow.update_instance(
            launched_at=uow.now, power_state=result.power_state
        )
        uow.finish()
        uow.advance_migration(migration_states.FINISHED)
        uow.transfer_claim(
            migration.source_host, instance.uuid, to=migration.uuid
        )
        uow.transfer_claim(
            str(migration.dest_host), uow.operation.id, to=instance.uuid
        )
        uow.emit_end('finish_resize', fixed_ips=payload.fixed_ips(instance))

    def on_undo(self, uow: UnitOfWork, step: records.Step) -> None:
        """Restore the old flavor of the instance."""
        uow.update_instance(flavor=uow.migration.old_flavor)


class ResizeOrMigrate(Flow):
    """Migrate with the same flavor; see ``Resize`` for another one."""

    params_class: ClassVar[type[OperationParams]] = MigrateParams
    has_migration = True
    steps = (
        MigrateServer,
        PrepResize,
        ResizeInstance,
        FinishResize,
        UndoFinishResize,
        UndoResizeInstance,
        UndoPrepResize,
    )

    def on_begin(self, uow: UnitOfWork) -> None:
        """Enqueue the selection of a destination."""
        uow.enqueue(MigrateServer, SelectHostArgs(excluded_hosts={}))

    def on_unwound(self, uow: UnitOfWork, error: Error) -> None:
        """Try another destination, unless another cannot help."""
        steps = uow.steps()
        went_off = any(s.method == ResizeInstance.method for s in steps)
        tried = [s for s in steps if s.method == PrepResize.method]
        again = len(tried) < CONF.scheduler.max_attempts
        hopeless = went_off or isinstance(error, exception.NoValidHost)
        if tried and again and not hopeless and not _is_host_requested(uow):
            uow.restart()
            uow.enqueue(
                MigrateServer, retries.select_after(uow, tried[-1], error)
            )
            return
        if tried:
            uow.advance_migration(migration_states.ERROR)
        uow.fail(error)


class Resize(ResizeOrMigrate):
    """Resize: migrate with another flavor."""

    params_class = ResizeParams


def _is_host_requested(uow: UnitOfWork) -> bool:
    return MigrateParams.narrow(uow.operation.params).host is not None
