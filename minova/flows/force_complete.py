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

from minova.flows.chain import Book
from minova.flows.chain import Facts
from minova.flows.chain import HostStep
from minova.flows.chain import Job
from minova.flows.chain import Story
from minova.flows.live_migration import LiveMigration

#: How often, and after how many seconds again, the step that watches is
#: looked for: it may have read the operation already, and not begun its work.
_TRIES = 5
_AGAIN = 0.5


class LiveMigrationForceComplete(HostStep):
    """Let the migration at work here end soon."""

    method = 'live_migration_force_complete'
    beside = True

    def begins(self, book: Book) -> None:
        """Tell that it is asked for."""
        book.open('live.migration.force.complete')

    def work(self, job: Job) -> Facts:
        """Tell the step that watches it."""
        for _ in range(_TRIES):
            if job.force(LiveMigration):
                break
            job.wait(_AGAIN)
        return {}

    def ends(self, book: Book, result: Facts) -> None:
        """Tell that it was asked; how it ends, the migration tells."""
        book.close('live.migration.force.complete')


class ForceComplete(Story):
    """Ask a live migration to end soon."""

    steps = (LiveMigrationForceComplete,)

    def starts(self, book: Book) -> None:
        """Note it with the migration; tell the host."""
        book.force_owner()
        book.owe(LiveMigrationForceComplete, host=book.instance.host)
