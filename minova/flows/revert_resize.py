# SPDX-License-Identifier: Apache-2.0
"""Revert of a resize: the source restores the old guest.

= ====================== ========= ================= ======================
# step                   where     task states       undone by
= ====================== ========= ================= ======================
1 revert_resize          dest      resize_reverting  cannot be undone
2 finish_revert_resize   source                      cannot be undone
= ====================== ========= ================= ======================

The guest of the destination is removed before the old one starts. A revert
that does not reach the hypervisor of the destination leaves the resize as it
was.
"""

from minova import exception
from minova import migration_states
from minova import states
from minova.flows import power_actions
from minova.flows.base import ComputeStep
from minova.flows.base import Error
from minova.flows.base import Flow
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.objects.operation_params import UnconfirmedResizeParams
from minova.objects.step_args import NoArgs
from minova.objects.step_results import GuestState
from minova.objects.step_results import NoResult


class RevertResize(ComputeStep[NoArgs, NoResult]):
    """Remove the new guest at the destination."""

    method = 'revert_resize'
    retry_until_done = True
    fails_if_untouched = True

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the usage until now."""
        uow.emit('exists')

    def run(self, ctx: StepContext, args: NoArgs) -> NoResult:
        """Remove guest and disks; the old ones are on the source."""
        ctx.driver.destroy(ctx.instance.uuid)
        ctx.driver.remove_disks(ctx.instance.uuid)
        return NoResult()

    def on_success(self, uow: UnitOfWork, result: NoResult) -> None:
        """Make the source the owner again, with the old flavor."""
        migration, instance = uow.migration, uow.instance
        uow.set_host(migration.source_host, migration.source_node)
        uow.update_instance(
            flavor=migration.old_flavor,
            power_state=int(states.PowerState.NOSTATE),
        )
        uow.release(str(migration.dest_host), consumer=instance.uuid)
        uow.transfer_claim(
            migration.source_host, migration.uuid, to=instance.uuid
        )
        uow.enqueue(FinishRevertResize, NoArgs(), host=migration.source_host)


class FinishRevertResize(ComputeStep[NoArgs, GuestState]):
    """Restore the old disks; start the old guest if it was active."""

    method = 'finish_revert_resize'
    retry_until_done = True

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the start of the revert."""
        uow.emit_start('resize.revert')

    def run(self, ctx: StepContext, args: NoArgs) -> GuestState:
        """Restore the disks; define and start the guest."""
        uuid = ctx.instance.uuid
        ctx.driver.restore_disks(uuid)
        if ctx.migration.old_vm_state == states.ACTIVE:
            power_actions.power_on(ctx)
        else:
            ctx.driver.define(ctx.spec())
        return power_actions.read_power_state(ctx)

    def on_success(self, uow: UnitOfWork, result: GuestState) -> None:
        """Release the instance as before the resize."""
        uow.update_instance(
            launched_at=uow.now, power_state=result.power_state
        )
        uow.finish(old_vm_state=uow.migration.old_vm_state)
        uow.advance_migration(migration_states.REVERTED)
        uow.emit_end('resize.revert')

    def is_fatal(self, error: Error) -> bool:
        """Fail without the old disks: no retry brings them back."""
        return isinstance(error, exception.DiskMissing)


class Revert(Flow):
    """Revert: to the source, the old flavor and the old disks."""

    params_class = UnconfirmedResizeParams
    has_migration = True
    steps = (RevertResize, FinishRevertResize)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Enqueue the removal of the new guest."""
        uow.advance_migration(migration_states.REVERTING)
        uow.enqueue(RevertResize, NoArgs(), host=uow.instance.host)

    def on_unwound(self, uow: UnitOfWork, error: Error) -> None:
        """Let the resize be confirmed or reverted as before."""
        uow.advance_migration(migration_states.FINISHED)
        uow.fail(error)
