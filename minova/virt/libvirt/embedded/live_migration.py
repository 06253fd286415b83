# SPDX-License-Identifier: Apache-2.0
"""Live migration between two embedded hosts, which is acted out.

libvirt's test driver cannot migrate, and its guests have no memory to move.
So what is seen of a migration is played: it takes the time that is
configured, copies the disk, and then lets the guest be off here and on there
(``passage``). Nothing of it says how a real migration goes; the plan of each,
and the log, say that it is acted out. The rules of a real one hold: one host
at most has the guest, and until it has gone it can be kept.
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
from minova.virt.libvirt.embedded.guests import EmbeddedGuests
from minova.virt.libvirt.embedded.handover import Handover
from minova.virt.libvirt.embedded.handover import now_seconds
from minova.virt.libvirt.embedded.store import EmbeddedDisks
from minova.virt.libvirt.embedded.store import EmbeddedStore

LOG = logging.getLogger(__name__)

#: What the plan of each such migration says.
SIMULATION_NOTICE = (
    'Both hosts are embedded: the guest is ended at the one and started at '
    'the other. No memory is moved.'
)


class SimulatedLiveMigration:
    """Live migration as a driver is asked for it."""

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
                reason='embedded hosts share no storage; ask for block '
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
        """Make room, unless the guest has come already."""
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
        """Take the room back, and the disks unless the guest has come.

        What is due is not done before: it is not wanted any more.
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
        """Require that the guest runs."""
        self._require_known_host(dest_check_data.host)
        guest = self._guests.guest(uuid)
        if guest is None or guest.power not in POWERED_ON:
            raise exception.MigrationPreCheckError(
                reason=f'guest {uuid} does not run at {self._host}'
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
        """Note when the guest will be there; one under way goes on."""
        with self._guests.exclusive(uuid):
            memory = self._guests.memory(uuid)
            if self._guests.power(uuid) not in POWERED_ON:
                raise exception.GuestMigrationFailed(
                    instance_id=uuid, reason='it is off'
                )
            move = self._handover.get_migration(uuid)
            if move and (move['state'], move['dest']) == (
                'running',
                dest.host,
            ):
                return
            LOG.info(
                'Guest %s goes from %s to %s in %g s, acted out: %s',
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
        """Tell how far it is, by the time that has passed."""
        with self._guests.exclusive(uuid):
            move = self._handover.get_migration(uuid)
        if move is None:
            return MigrationStatus('none')
        span = move['ends_at'] - move['began_at']
        part = (now_seconds() - move['began_at']) / span if span else 1.0
        part = 1.0 if move['state'] == 'completed' else min(part, 1.0)
        memory, disk = int(move['memory']), int(move['disk'])
        return MigrationStatus(
            move['state'],
            move['error'],
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
        """What is acted out takes the time that it takes."""

    def abort_migration(self, uuid: str) -> None:
        """End it unless it was due."""
        with self._guests.exclusive(uuid):
            self._handover.finish(uuid, 'cancelled', 'it was aborted')

    def force_complete(self, uuid: str) -> None:
        """Let it be due now; there is no memory that keeps changing."""
        with self._guests.exclusive(uuid):
            self._handover.complete_now(uuid)

    def _require_known_host(self, host: str) -> None:
        if not self._store.has_host(host):
            raise exception.MigrationPreCheckError(
                reason=f'{host} is no embedded host below '
                f'{self._store.directory}, and guests of embedded hosts '
                'move only between those of one machine'
            )
