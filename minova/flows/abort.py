# SPDX-License-Identifier: Apache-2.0
"""Abort of a live migration: the guest stays on its host.

= ====================================== ========= ========================
# step                                   where     undone by
= ====================================== ========= ========================
1 live_migration_abort                   source    nothing to undo
= ====================================== ========= ========================

The operation runs concurrently with the migration. The operation records the
request in the parameters of the live migration, for a source that resumes the
migration after a restart. It signals the running step ``live_migration``,
which aborts the job of the hypervisor.
"""

from minova.flows.base import ComputeStep
from minova.flows.base import Flow
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.flows.live_migration import LiveMigration
from minova.objects.step_args import NoArgs
from minova.objects.step_results import NoResult


class LiveMigrationAbort(ComputeStep[NoArgs, NoResult]):
    """Signal the abort to the live migration that runs on the host."""

    method = 'live_migration_abort'
    concurrent = True
    fail_at_deadline = True

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the start of the abort."""
        uow.emit_start('live.migration.abort')

    def run(self, ctx: StepContext, args: NoArgs) -> NoResult:
        """Signal the running step."""
        ctx.request_abort(LiveMigration)
        return NoResult()

    def on_success(self, uow: UnitOfWork, result: NoResult) -> None:
        """Emit the end of the abort; the live migration ends on its own."""
        uow.emit_end('live.migration.abort')


class Abort(Flow):
    """Request the abort of a live migration."""

    steps = (LiveMigrationAbort,)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Record the request with the live migration; signal its host."""
        uow.request_abort()
        uow.enqueue(LiveMigrationAbort, NoArgs(), host=uow.instance.host)
