# SPDX-License-Identifier: Apache-2.0
"""Confirm of a resize: the source removes the old guest and its disks.

= ====================== ========= ================= ======================
# step                   where     task states       undone by
= ====================== ========= ================= ======================
1 confirm_resize         source                      cannot be undone
= ====================== ========= ================= ======================

The instance is released at once. The source removes what it has retained as
soon as it is up.
"""

from minova import migration_states
from minova.flows.base import ComputeStep
from minova.flows.base import Flow
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.notifications import payload
from minova.objects.operation_params import UnconfirmedResizeParams
from minova.objects.step_args import NoArgs
from minova.objects.step_results import NoResult


class ConfirmResize(ComputeStep[NoArgs, NoResult]):
    """Remove what the source retains for a revert."""

    method = 'confirm_resize'
    retry_until_done = True
    deferrable = True

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the start of the confirmation."""
        uow.emit_start('resize.confirm')

    def run(self, ctx: StepContext, args: NoArgs) -> NoResult:
        """Remove the old guest and its disks."""
        uuid = ctx.instance.uuid
        if not ctx.migration.is_same_host:
            ctx.driver.destroy(uuid)
        ctx.driver.discard_disks(uuid)
        return NoResult()

    def on_success(self, uow: UnitOfWork, result: NoResult) -> None:
        """Release the claim on the source."""
        migration = uow.migration
        uow.release(migration.source_host, consumer=migration.uuid)
        uow.advance_migration(migration_states.CONFIRMED)
        uow.emit_end(
            'resize.confirm', fixed_ips=payload.fixed_ips(uow.instance)
        )


class Confirm(Flow):
    """Confirm: release the instance; the source cleans up when it can."""

    params_class = UnconfirmedResizeParams
    has_migration = True
    steps = (ConfirmResize,)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Release the instance and enqueue the clean-up."""
        uow.finish(old_vm_state=uow.migration.old_vm_state)
        uow.advance_migration(migration_states.CONFIRMING)
        uow.enqueue(ConfirmResize, NoArgs(), host=uow.migration.source_host)
