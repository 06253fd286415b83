# SPDX-License-Identifier: Apache-2.0
"""The live migration of guests."""

import dataclasses
from typing import Protocol

from minova.objects.live_migrate_data import DestCheckData
from minova.objects.live_migrate_data import LiveMigrateData
from minova.objects.live_migrate_data import LiveMigrateSource
from minova.virt.driver.disks import Peer
from minova.virt.driver.guests import GuestSpec


@dataclasses.dataclass(frozen=True)
class MigrationStatus:
    """The progress of a live migration that was started on this host.

    ``state`` is 'running', 'completed', 'failed', 'cancelled' or 'none'.
    'none' means that no migration is known and says nothing about the guest.
    Figures are bytes.
    """

    state: str
    error: str | None = None
    memory_total: int = 0
    memory_processed: int = 0
    memory_remaining: int = 0
    disk_total: int = 0
    disk_processed: int = 0
    disk_remaining: int = 0


class LiveMigrationInterface(Protocol):
    """Live migration, for source and destination."""

    def check_can_live_migrate_destination(
        self,
        spec: GuestSpec,
        source: LiveMigrateSource,
        block_migration: bool | None,
        disk_over_commit: bool,
    ) -> DestCheckData:
        """At the destination: check the guest; describe this host.

        ``block_migration`` is the user's choice: copy the disks or not, None
        to let the hosts decide. Raises MigrationPreCheckError.
        """

    def check_can_live_migrate_source(
        self,
        uuid: str,
        dest_check_data: DestCheckData,
        block_migration: bool | None,
    ) -> LiveMigrateData:
        """At the source: check against the destination's answer.

        Raises MigrationPreCheckError.
        """

    def pre_live_migration(
        self,
        spec: GuestSpec,
        migrate_data: LiveMigrateData,
        image: str | None = None,
    ) -> LiveMigrateData:
        """At the destination: prepare what the guest needs there.

        ``image`` is the path of the image's file, None when the image is
        missing. Returns ``migrate_data``, completed by the destination.
        """

    def rollback_live_migration_at_destination(
        self, uuid: str, migrate_data: LiveMigrateData
    ) -> None:
        """At the destination: remove what was prepared, and the guest."""

    def start_live_migration(
        self, uuid: str, dest: Peer, migrate_data: LiveMigrateData
    ) -> None:
        """At the source: start the migration; return at once.

        A running migration continues. Raises GuestFailed for a guest that is
        not here or is off.
        """

    def migration_status(self, uuid: str) -> MigrationStatus:
        """At the source: return the progress, also after a restart."""

    def tune_migration(
        self,
        uuid: str,
        migrate_data: LiveMigrateData,
        elapsed_seconds: float,
    ) -> None:
        """At the source: help a migration to converge.

        ``elapsed_seconds`` have passed since it started. A guest that changes
        its memory faster than it is copied never converges by itself. Errors
        of the hypervisor are logged.
        """

    def abort_migration(self, uuid: str) -> None:
        """At the source: abort the migration; the guest stays here."""

    def force_complete(self, uuid: str) -> None:
        """At the source: let the migration complete soon.

        The driver may pause the guest until it arrives, or switch to
        post-copy. A guest whose migration fails nevertheless may stay paused
        here. Nothing without a migration.
        """
