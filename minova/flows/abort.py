# SPDX-License-Identifier: Apache-2.0
"""Abort: a live migration is made to stop; its guest stays where it is.

= ====================================== ========= ========================
# step                                   where     taken back by
= ====================================== ========= ========================
1 live_migration_abort                   source    nothing to take back
= ====================================== ========= ========================

An operation that runs beside the migration. It notes the wish with it, so
that whoever takes the migration up again after a restart knows of it, and
tells the step that watches it now. That one has the hypervisor stop it.
"""

from minova.flows.base import ComputeStep
from minova.flows.base import Flow
from minova.flows.base import JsonDict
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.flows.live_migration import LiveMigration


class LiveMigrationAbort(ComputeStep):
    """Let the migration at work here stop."""

    method = 'live_migration_abort'
    concurrent = True

    def on_start(self, uow: UnitOfWork) -> None:
        """Tell that it is asked to stop."""
        uow.emit_start('live.migration.abort')

    def run(self, ctx: StepContext) -> JsonDict:
        """Ask the step that watches it."""
        ctx.request_abort(LiveMigration)
        return {}

    def on_success(self, uow: UnitOfWork, result: JsonDict) -> None:
        """Tell that it was asked; how it ends, the migration tells."""
        uow.emit_end('live.migration.abort')


class Abort(Flow):
    """Ask a live migration to stop."""

    steps = (LiveMigrationAbort,)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Note it with the migration, so that a restart knows; tell it."""
        uow.request_abort()
        uow.enqueue(LiveMigrationAbort, host=uow.instance.host)
