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

from minova.flows.chain import Book
from minova.flows.chain import Facts
from minova.flows.chain import HostStep
from minova.flows.chain import Job
from minova.flows.chain import Story
from minova.flows.live_migration import LiveMigration


class LiveMigrationAbort(HostStep):
    """Let the migration at work here stop."""

    method = 'live_migration_abort'
    beside = True

    def begins(self, book: Book) -> None:
        """Tell that it is asked to stop."""
        book.open('live.migration.abort')

    def work(self, job: Job) -> Facts:
        """Ask the step that watches it."""
        job.cancel(LiveMigration)
        return {}

    def ends(self, book: Book, result: Facts) -> None:
        """Tell that it was asked; how it ends, the migration tells."""
        book.close('live.migration.abort')


class Abort(Story):
    """Ask a live migration to stop."""

    steps = (LiveMigrationAbort,)

    def starts(self, book: Book) -> None:
        """Note it with the migration, so that a restart knows; tell it."""
        book.cancel_owner()
        book.owe(LiveMigrationAbort, host=book.instance.host)
