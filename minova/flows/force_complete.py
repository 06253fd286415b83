# SPDX-License-Identifier: Apache-2.0
"""Force-complete: a live migration is made to end, at the guest's cost.

= ====================================== ========= ========================
# step                                   where     taken back by
= ====================================== ========= ========================
1 live_migration_force_complete          source    nothing to take back
= ====================================== ========= ========================

An operation that runs beside the migration. It notes the wish with it, so
that whoever takes the migration up again after a restart knows of it, and
tells the step that watches it now. That one has the hypervisor do it: pause
the guest until it is there, or let it run there before all of it has come.
"""

from minova.flows.base import ComputeStep
from minova.flows.base import Flow
from minova.flows.base import JsonDict
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.flows.live_migration import LiveMigration

#: How often, and after how many seconds again, the step that watches is
#: looked for: it may have read the operation already, and not begun its work.
_ATTEMPTS = 5
_RETRY_DELAY = 0.5


class LiveMigrationForceComplete(ComputeStep):
    """Let the migration at work here end soon."""

    method = 'live_migration_force_complete'
    concurrent = True

    def on_start(self, uow: UnitOfWork) -> None:
        """Tell that it is asked for."""
        uow.emit_start('live.migration.force.complete')

    def run(self, ctx: StepContext) -> JsonDict:
        """Tell the step that watches it."""
        for _ in range(_ATTEMPTS):
            if ctx.request_force(LiveMigration):
                break
            ctx.wait(_RETRY_DELAY)
        return {}

    def on_success(self, uow: UnitOfWork, result: JsonDict) -> None:
        """Tell that it was asked; how it ends, the migration tells."""
        uow.emit_end('live.migration.force.complete')


class ForceComplete(Flow):
    """Ask a live migration to end soon."""

    steps = (LiveMigrationForceComplete,)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Note it with the migration; tell the host."""
        uow.request_force()
        uow.enqueue(LiveMigrationForceComplete, host=uow.instance.host)
