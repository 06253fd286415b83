# SPDX-License-Identifier: Apache-2.0
"""Simulated live migration between two embedded hosts.

libvirt's test driver cannot migrate, and its guests have no memory. The
simulation takes the configured time, copies the disks, then ends the guest at
the source and starts it at the destination (``handover``). It says nothing
about the behaviour of a real migration; LiveMigrateData and the log carry a
notice of that. The invariants of a real migration hold: at most one host has
the guest, and until the guest has left, it can stay.
"""

from oslo_log import log as logging

from minova import exception
from minova.conf import CONF
from minova.objects.live_migrate_data import DestCheckData
from minova.objects.live_migrate_data import LiveMigrateData
from minova.objects.live_migrate_data import LiveMigrateSource
from minova.states import POWERED_ON
from minova.virt.driver import GuestSpec
from minova.virt.driver import MigrationStatus
from minova.virt.driver import Peer
from minova.virt.libvirt.embedded.disks import EmbeddedDisks
from minova.virt.libvirt.embedded.guests import EmbeddedGuests
from minova.virt.libvirt.embedded.handover import Handover
from minova.virt.libvirt.embedded.store import EmbeddedStore
from minova.virt.simulated_time import elapsed_share

LOG = logging.getLogger(__name__)

#: The notice in LiveMigrateData and in the log.
SIMULATION_NOTICE = (
    'Both hosts are embedded: the guest ends at the source and starts at the '
    'destination. No memory is copied.'
)


class SimulatedLiveMigration:
    """Simulated live migration; see ``driver.LiveMigrationInterface``."""

    def __init__(
        self,
        host: str,
        store: EmbeddedStore,
        guests: EmbeddedGuests,
        handover: Handover,
        disks: EmbeddedDisks,
    ) -> None:
        self._host = host
        self._store = store
        self._guests = guests
        self._handover = handover
        self._disks = disks

    # -- at the destination --------------------------------------------------

    def check_can_live_migrate_destination(
        self,
        spec: GuestSpec,
        source: LiveMigrateSource,
        block_migration: bool | None,
        disk_over_commit: bool,
    ) -> DestCheckData:
        """Accept the guests of all embedded hosts of this machine."""
        if block_migration is False:
            raise exception.InvalidLocalStorage(
                path=self._disks.guest_directory(spec.uuid),
                reason='embedded hosts share no storage; request block '
                'migration',
            )
        self._require_known_host(source.host)
        return DestCheckData(
            host=self._host, simulation_notice=SIMULATION_NOTICE
        )

    def pre_live_migration(
        self,
        spec: GuestSpec,
        migrate_data: LiveMigrateData,
        image: str | None = None,
    ) -> LiveMigrateData:
        """Record the incoming guest unless it has arrived."""
        with self._guests.exclusive(spec.uuid):
            if self._guests.power(spec.uuid) is None:
                self._store.put(
                    f'{self._host}/incoming/{spec.uuid}',
                    {'source': migrate_data.source_host},
                )
        return migrate_data

    def rollback_live_migration_at_destination(
        self, uuid: str, migrate_data: LiveMigrateData
    ) -> None:
        """Delete the incoming record; remove the disks of a guest not here.

        A due handover is not completed first: the caller wants it undone.
        """
        with self._store.lock(uuid):
            self._store.delete(f'{self._host}/incoming/{uuid}')
            if self._store.get(f'{self._host}/guests/{uuid}') is None:
                self._disks.remove_disks(uuid)

    # -- at the source -------------------------------------------------------

    def check_can_live_migrate_source(
        self,
        uuid: str,
        dest_check_data: DestCheckData,
        block_migration: bool | None,
    ) -> LiveMigrateData:
        """Require a running guest."""
        self._require_known_host(dest_check_data.host)
        guest = self._guests.guest(uuid)
        if guest is None or not guest.is_on:
            raise exception.MigrationPreCheckError(
                reason=f'guest {uuid} does not run on {self._host}'
            )
        return LiveMigrateData(
            source_host=self._host,
            dest_host=dest_check_data.host,
            block_migration=True,
            simulation_notice=dest_check_data.simulation_notice,
        )

    def start_live_migration(
        self, uuid: str, dest: Peer, migrate_data: LiveMigrateData
    ) -> None:
        """Record the time of arrival; a running migration continues."""
        with self._guests.exclusive(uuid):
            memory = self._guests.memory(uuid)
            if self._guests.power(uuid) not in POWERED_ON:
                raise exception.GuestMigrationFailed(
                    instance_id=uuid, reason='the guest is off'
                )
            migration = self._handover.get_migration(uuid)
            if migration and (migration['state'], migration['dest']) == (
                'running',
                dest.host,
            ):
                return
            LOG.info(
                'Guest %s: simulated live migration from %s to %s started, '
                'takes %g s. %s',
                uuid,
                self._host,
                dest.host,
                CONF.libvirt.embedded_migration_seconds,
                SIMULATION_NOTICE,
            )
            self._handover.start(
                uuid, dest.host, memory, self._disks.bytes_used(uuid)
            )

    def migration_status(self, uuid: str) -> MigrationStatus:
        """Return the progress as a share of the configured time."""
        with self._guests.exclusive(uuid):
            migration = self._handover.get_migration(uuid)
        if migration is None:
            return MigrationStatus('none')
        part = 1.0
        if migration['state'] != 'completed':
            part = elapsed_share(migration['began_at'], migration['ends_at'])
        memory, disk = int(migration['memory']), int(migration['disk'])
        return MigrationStatus(
            migration['state'],
            migration['error'],
            memory_total=memory,
            memory_processed=int(memory * part),
            memory_remaining=memory - int(memory * part),
            disk_total=disk,
            disk_processed=int(disk * part),
            disk_remaining=disk - int(disk * part),
        )

    def tune_migration(
        self, uuid: str, migrate_data: LiveMigrateData, elapsed_seconds: float
    ) -> None:
        """Do nothing: a simulated migration takes the configured time."""

    def abort_migration(self, uuid: str) -> None:
        """End the migration unless it is due."""
        with self._guests.exclusive(uuid):
            self._handover.finish(
                uuid, 'cancelled', 'the migration was aborted'
            )

    def force_complete(self, uuid: str) -> None:
        """Complete the migration now."""
        with self._guests.exclusive(uuid):
            self._handover.complete_now(uuid)

    def _require_known_host(self, host: str) -> None:
        if not self._store.has_host(host):
            raise exception.MigrationPreCheckError(
                reason=f'{host} is not an embedded host below '
                f'{self._store.directory}; guests migrate only between '
                'embedded hosts of one machine'
            )
