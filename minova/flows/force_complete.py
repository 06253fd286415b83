# SPDX-License-Identifier: Apache-2.0
"""Forced completion of a live migration, at a cost for the guest.

= ====================================== ========= ========================
# step                                   where     undone by
= ====================================== ========= ========================
1 live_migration_force_complete          source    nothing to undo
= ====================================== ========= ========================

The operation runs concurrently with the migration. The operation records the
request in the parameters of the live migration, for a source that resumes the
migration after a restart. It signals the running step ``live_migration``. The
hypervisor then pauses the guest until its memory is copied, or switches to
post-copy.
"""

from minova.flows.base import ComputeStep
from minova.flows.base import Flow
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.flows.live_migration import LiveMigration
from minova.objects.step_args import NoArgs
from minova.objects.step_results import NoResult

#: Attempts to find the running step, and the seconds between them: it may
#: have read the operation before the request and may not be registered yet.
_ATTEMPTS = 5
_RETRY_DELAY = 0.5


class LiveMigrationForceComplete(ComputeStep[NoArgs, NoResult]):
    """Signal the forced completion to the live migration on the host."""

    method = 'live_migration_force_complete'
    concurrent = True
    fail_at_deadline = True

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the start of the request."""
        uow.emit_start('live.migration.force.complete')

    def run(self, ctx: StepContext, args: NoArgs) -> NoResult:
        """Signal the running step."""
        for _ in range(_ATTEMPTS):
            if ctx.request_force(LiveMigration):
                break
            ctx.wait(_RETRY_DELAY)
        return NoResult()

    def on_success(self, uow: UnitOfWork, result: NoResult) -> None:
        """Emit the end of the request; the live migration ends on its own."""
        uow.emit_end('live.migration.force.complete')


class ForceComplete(Flow):
    """Request the forced completion of a live migration."""

    steps = (LiveMigrationForceComplete,)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Record the request with the live migration; signal its host."""
        uow.request_force()
        uow.enqueue(
            LiveMigrationForceComplete, NoArgs(), host=uow.instance.host
        )
