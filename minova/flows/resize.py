# SPDX-License-Identifier: Apache-2.0
"""Resize and cold migration: a guest is off while it changes host or size.

= ====================== ========= ================= ======================
# step                   where     task states       taken back by
= ====================== ========= ================= ======================
1 migrate_server         conductor resize_prep       releasing the room
2 prep_resize            dest                        undo_prep_resize
3 resize_instance        source    resize_migrating, undo_resize_instance
                                   resize_migrated
4 finish_resize          dest      resize_finish     undo_finish_resize
= ====================== ========= ================= ======================

The source keeps the old guest's definition and, set aside, its disks, until
the user confirms or reverts:

= ====================== ========= ================= ======================
# step                   where     task states       taken back by
= ====================== ========= ================= ======================
1 confirm_resize         source                      no way back
= ====================== ========= ================= ======================

= ====================== ========= ================= ======================
# step                   where     task states       taken back by
= ====================== ========= ================= ======================
1 revert_resize          dest      resize_reverting  no way back
2 finish_revert_resize   source                      no way back
= ====================== ========= ================= ======================

A host that fails in ``prep_resize`` is left out and another is tried. From
the moment the guest is off it is either finished or taken back to the source,
the guest at the destination always removed before the old one is started.
"""

from typing import ClassVar
from typing import TYPE_CHECKING

from minova import clock
from minova import exception
from minova import migration_states
from minova import states
from minova.conf import CONF
from minova.flows import power_actions
from minova.flows.base import ComputeStep
from minova.flows.base import ConductorStep
from minova.flows.base import Error
from minova.flows.base import Flow
from minova.flows.base import JsonDict
from minova.flows.base import Scheduler
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.notifications import payload
from minova.objects import operation as records
from minova.objects.operation_params import MigrateParams
from minova.objects.operation_params import OperationParams
from minova.objects.operation_params import ResizeParams
from minova.objects.operation_params import UnconfirmedResizeParams
from minova.objects.transfer_ticket import TransferTicket

if TYPE_CHECKING:
    from minova.virt.driver import TransferProgress

#: Seconds between two reports of how far the disks are.
_REPORT_INTERVAL = 1.0


def _same_host(ctx: StepContext) -> bool:
    return ctx.migration.source_host == ctx.migration.dest_host


# -- in a conductor ----------------------------------------------------------


class MigrateServer(ConductorStep):
    """Choose the destination and claim the new flavor's room there."""

    method = 'migrate_server'

    def run(
        self, uow: UnitOfWork, scheduler: Scheduler, prechecked: JsonDict
    ) -> JsonDict:
        """Begin, or begin anew, the record of the move."""
        instance = uow.instance
        params = MigrateParams.narrow(uow.operation.params)
        flavor = instance.flavor
        resize = isinstance(params, ResizeParams)
        if isinstance(params, ResizeParams):
            flavor = params.flavor
        excluded = tuple(uow.step.args.get('excluded', ()))
        if not (resize and CONF.scheduler.allow_resize_to_same_host):
            excluded += (str(instance.host),)
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
        uow.enqueue(PrepResize, host=selected.host)
        return {'host': selected.host}

    def on_undo(self, uow: UnitOfWork, step: records.Step) -> None:
        """Give the room back."""
        if step.result:
            uow.release(step.result['host'], consumer=uow.operation.id)


# -- on the destination ------------------------------------------------------


class UndoPrepResize(ComputeStep):
    """Remove what reached the destination of the disks."""

    method = 'undo_prep_resize'
    retry_until_done = True
    deferrable = True

    def run(self, ctx: StepContext) -> JsonDict:
        """Remove it; the guest was never defined here."""
        if not _same_host(ctx):
            ctx.driver.remove_disks(ctx.instance.uuid)
        return {}


class PrepResize(ComputeStep):
    """Check what only the destination knows."""

    method = 'prep_resize'
    undo = UndoPrepResize

    def on_start(self, uow: UnitOfWork) -> None:
        """Tell what exists until now, and that it will change."""
        uow.emit('exists')
        uow.emit_start('resize.prep')

    def run(self, ctx: StepContext) -> JsonDict:
        """Refuse what would overwrite something, invite the disks."""
        uuid = ctx.instance.uuid
        if _same_host(ctx):
            return {}
        if ctx.driver.guest(uuid) or ctx.driver.has_retained_disks(uuid):
            raise exception.GuestFailed(
                instance_id=uuid,
                reason=f'host {ctx.host} still has a guest or a disk of it; '
                'it is removed when its power states are reconciled',
            )
        ticket = ctx.driver.prepare_disk_transfer(ctx.spec())
        return {'transfer_ticket': ticket.to_wire()}

    def on_success(self, uow: UnitOfWork, result: JsonDict) -> None:
        """Let the source hand the guest over."""
        uow.enqueue(
            ResizeInstance,
            host=uow.migration.source_host,
            transfer_ticket=result.get('transfer_ticket'),
        )
        self._emit_prep_end(uow)

    def on_failure(self, uow: UnitOfWork, error: Error) -> None:
        """Tell that this host failed; there may be another one."""
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


class UndoResizeInstance(ComputeStep):
    """Make the old guest the one guest again."""

    method = 'undo_resize_instance'
    retry_until_done = True

    def run(self, ctx: StepContext) -> JsonDict:
        """Take the disks back; start the guest if it ran."""
        ctx.driver.restore_disks(ctx.instance.uuid)
        if ctx.old_vm_state == states.ACTIVE:
            power_actions.power_on(ctx)
        return power_actions.read_power_state(ctx)

    def on_success(self, uow: UnitOfWork, result: JsonDict) -> None:
        """Note that it runs, or is off as it was."""
        uow.update_instance(**result)


class ResizeInstance(ComputeStep):
    """Switch the guest off and hand its disks to the destination."""

    method = 'resize_instance'
    undo = UndoResizeInstance

    def on_start(self, uow: UnitOfWork) -> None:
        """Tell that the guest is going down."""
        uow.set_task_state('resize_migrating')
        uow.emit_start('resize', fixed_ips=payload.fixed_ips(uow.instance))
        uow.advance_migration(migration_states.MIGRATING)

    def run(self, ctx: StepContext) -> JsonDict:
        """Hand over, then keep the own disks for the way back."""
        uuid = ctx.instance.uuid
        if _same_host(ctx):
            power_actions.power_off(ctx)
            ctx.driver.retain_disks(uuid, copy=True)
            return power_actions.read_power_state(ctx)
        # A guest runs on as long as the destination is not reached.
        ctx.driver.check_can_send_disks(uuid, ctx.peer(), _ticket(ctx))
        power_actions.power_off(ctx)
        byte_counts = _send_disks(ctx)
        # Also when it was cut short after the first half of it.
        ctx.driver.retain_disks(uuid)
        return power_actions.read_power_state(ctx) | {'figures': byte_counts}

    def on_success(self, uow: UnitOfWork, result: JsonDict) -> None:
        """From here on the destination owns the instance."""
        move, facts = uow.migration, dict(result)
        byte_counts = facts.pop('figures', {})
        uow.update_instance(host=move.dest_host, node=move.dest_node, **facts)
        uow.set_task_state('resize_migrated')
        uow.advance_migration(migration_states.POST_MIGRATING)
        uow.save_migration(**byte_counts)
        uow.enqueue(FinishResize, host=move.dest_host)
        uow.emit_end('resize', fixed_ips=payload.fixed_ips(uow.instance))

    def is_retryable(self, error: Error) -> bool:
        """What has arrived before a destination went away stays there."""
        return isinstance(error, exception.DiskTransferInterrupted)

    def on_undo(self, uow: UnitOfWork, step: records.Step) -> None:
        """The source owns it again."""
        move = uow.migration
        uow.update_instance(host=move.source_host, node=move.source_node)


def _ticket(ctx: StepContext) -> TransferTicket:
    return TransferTicket.from_wire(ctx.args['transfer_ticket'])


def _send_disks(ctx: StepContext) -> JsonDict:
    """Hand the disks over, telling how far it is, as long as it is wanted.

    Returns the last figures; none when it was done before.
    """
    reported, progress = clock.monotonic(), None
    for progress in ctx.driver.send_disks(
        ctx.instance.uuid, ctx.peer(), _ticket(ctx)
    ):
        ctx.check_cancelled()
        ctx.wait(0)
        if ctx.seconds_left() <= 0:
            raise exception.DeadlineExceeded(
                operation=ctx.kind,
                reason=f'{progress.done} of {progress.total} bytes of the '
                'disks were sent',
            )
        if clock.monotonic() - reported >= _REPORT_INTERVAL:
            reported = clock.monotonic()
            ctx.report_progress(**_byte_counts(progress))
    return _byte_counts(progress) if progress is not None else {}


def _byte_counts(progress: 'TransferProgress') -> dict[str, int]:
    return {
        'disk_total': progress.total,
        'disk_processed': progress.done,
        'disk_remaining': progress.total - progress.done,
    }


# -- on the destination ------------------------------------------------------


class UndoFinishResize(ComputeStep):
    """Remove the new guest, so that the old one may be started."""

    method = 'undo_finish_resize'
    retry_until_done = True

    def run(self, ctx: StepContext) -> JsonDict:
        """Remove guest and disks."""
        ctx.driver.destroy(ctx.instance.uuid)
        ctx.driver.remove_disks(ctx.instance.uuid)
        return {}


class FinishResize(ComputeStep):
    """Define the guest in its new size and start it if it ran."""

    method = 'finish_resize'
    undo = UndoFinishResize

    def on_start(self, uow: UnitOfWork) -> None:
        """Tell; from here on the instance has the new flavor."""
        uow.update_instance(flavor=uow.migration.new_flavor)
        uow.set_task_state('resize_finish')
        uow.emit_start(
            'finish_resize', fixed_ips=payload.fixed_ips(uow.instance)
        )

    def run(self, ctx: StepContext) -> JsonDict:
        """Accept the disks, grow them, define, start."""
        spec = ctx.spec()
        ctx.driver.commit_received_disks(spec.uuid)
        ctx.driver.grow_disks(spec)
        if ctx.old_vm_state == states.ACTIVE:
            power_actions.power_on(ctx)
        else:
            ctx.driver.define(spec)
        return power_actions.read_power_state(ctx)

    def on_success(self, uow: UnitOfWork, result: JsonDict) -> None:
        """The user may look at it, and confirm or revert."""
        move, instance = uow.migration, uow.instance
        uow.update_instance(launched_at=uow.now, **result)
        uow.finish()
        uow.advance_migration(migration_states.FINISHED)
        uow.transfer_claim(move.source_host, instance.uuid, to=move.uuid)
        uow.transfer_claim(
            str(move.dest_host), uow.operation.id, to=instance.uuid
        )
        uow.emit_end('finish_resize', fixed_ips=payload.fixed_ips(instance))

    def on_undo(self, uow: UnitOfWork, step: records.Step) -> None:
        """The old flavor is the instance's again."""
        uow.update_instance(flavor=uow.migration.old_flavor)


class ResizeOrMigrate(Flow):
    """Migrate with the same flavor; ``Resize`` does so with another."""

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
        """Let a conductor choose the destination."""
        uow.enqueue(MigrateServer)

    def on_unwound(self, uow: UnitOfWork, error: Error) -> None:
        """Try another destination if only this one was at fault."""
        steps = uow.steps()
        went_off = any(s.method == ResizeInstance.method for s in steps)
        tried = [s.host for s in steps if s.method == PrepResize.method]
        again = len(tried) < CONF.scheduler.max_attempts
        # When no host was left to be tried, there is none now either.
        hopeless = went_off or isinstance(error, exception.NoValidHost)
        if tried and again and not hopeless and not _is_host_requested(uow):
            uow.restart()
            uow.enqueue(MigrateServer, excluded=tried)
            return
        if tried:
            uow.advance_migration(migration_states.ERROR)
        uow.fail(error)


class Resize(ResizeOrMigrate):
    """Resize."""

    params_class = ResizeParams


def _is_host_requested(uow: UnitOfWork) -> bool:
    return MigrateParams.narrow(uow.operation.params).host is not None


# -- confirm -----------------------------------------------------------------


class ConfirmResize(ComputeStep):
    """Remove what the source has kept for a way back."""

    method = 'confirm_resize'
    retry_until_done = True
    deferrable = True

    def on_start(self, uow: UnitOfWork) -> None:
        """Tell that the way back is being closed."""
        uow.emit_start('resize.confirm')

    def run(self, ctx: StepContext) -> JsonDict:
        """Remove the old guest and its disks."""
        uuid = ctx.instance.uuid
        if not _same_host(ctx):
            ctx.driver.destroy(uuid)
        ctx.driver.discard_disks(uuid)
        return {}

    def on_success(self, uow: UnitOfWork, result: JsonDict) -> None:
        """The old host's room is free."""
        move = uow.migration
        uow.release(move.source_host, consumer=move.uuid)
        uow.advance_migration(migration_states.CONFIRMED)
        uow.emit_end(
            'resize.confirm', fixed_ips=payload.fixed_ips(uow.instance)
        )


class Confirm(Flow):
    """The user is free at once; the source cleans up when it can."""

    params_class = UnconfirmedResizeParams
    has_migration = True
    steps = (ConfirmResize,)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Let go of the instance, owe the cleaning."""
        uow.finish(old_vm_state=uow.migration.old_vm_state)
        uow.advance_migration(migration_states.CONFIRMING)
        uow.enqueue(ConfirmResize, host=uow.migration.source_host)


# -- revert ------------------------------------------------------------------


class RevertResize(ComputeStep):
    """Remove the new guest at the destination."""

    method = 'revert_resize'
    retry_until_done = True

    def on_start(self, uow: UnitOfWork) -> None:
        """Tell what exists until now."""
        uow.emit('exists')

    def run(self, ctx: StepContext) -> JsonDict:
        """Remove guest and disks; nothing of the old ones is here."""
        ctx.driver.destroy(ctx.instance.uuid)
        ctx.driver.remove_disks(ctx.instance.uuid)
        return {}

    def on_success(self, uow: UnitOfWork, result: JsonDict) -> None:
        """The source owns it again, in the old size."""
        move, instance = uow.migration, uow.instance
        uow.update_instance(
            host=move.source_host,
            node=move.source_node,
            flavor=move.old_flavor,
            power_state=int(states.PowerState.NOSTATE),
        )
        uow.release(str(move.dest_host), consumer=instance.uuid)
        uow.transfer_claim(move.source_host, move.uuid, to=instance.uuid)
        uow.enqueue(FinishRevertResize, host=move.source_host)


class FinishRevertResize(ComputeStep):
    """Take the old disks back and start the old guest if it ran."""

    method = 'finish_revert_resize'
    retry_until_done = True

    def on_start(self, uow: UnitOfWork) -> None:
        """Tell that the old guest is coming back."""
        uow.emit_start('resize.revert')

    def run(self, ctx: StepContext) -> JsonDict:
        """Take back, define, start."""
        uuid = ctx.instance.uuid
        ctx.driver.restore_disks(uuid)
        if ctx.migration.old_vm_state == states.ACTIVE:
            power_actions.power_on(ctx)
        else:
            ctx.driver.define(ctx.spec())
        return power_actions.read_power_state(ctx)

    def on_success(self, uow: UnitOfWork, result: JsonDict) -> None:
        """As it was before the resize."""
        uow.update_instance(launched_at=uow.now, **result)
        uow.finish(old_vm_state=uow.migration.old_vm_state)
        uow.advance_migration(migration_states.REVERTED)
        uow.emit_end('resize.revert')

    def is_fatal(self, error: Error) -> bool:
        """Without the old disk there is nothing to go back to."""
        return isinstance(error, exception.DiskMissing)


class Revert(Flow):
    """Back to the source, to the old size and the old disk."""

    params_class = UnconfirmedResizeParams
    has_migration = True
    steps = (RevertResize, FinishRevertResize)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Let the destination remove the new guest."""
        uow.advance_migration(migration_states.REVERTING)
        uow.enqueue(RevertResize, host=uow.instance.host)
