# SPDX-License-Identifier: Apache-2.0
"""Live migration of a fake host: a guest arrives after a set time."""

from minova import exception
from minova.objects.live_migrate_data import DestCheckData
from minova.objects.live_migrate_data import LiveMigrateData
from minova.objects.live_migrate_data import LiveMigrateSource
from minova.states import POWERED_ON
from minova.states import PowerState
from minova.virt.driver import GuestSpec
from minova.virt.driver import MigrationStatus
from minova.virt.driver import Peer
from minova.virt.fake.host import FakeHost
from minova.virt.fake.host import fault_injectable
from minova.virt.simulated_time import elapsed_share
from minova.virt.simulated_time import now_seconds

_MIB = 1 << 20
#: Seconds after which a forced migration completes.
_FORCED_SECONDS = 1.0


class FakeLiveMigration(FakeHost):
    """Live migration of a fake host; see ``driver``."""

    @fault_injectable
    def check_can_live_migrate_destination(
        self,
        spec: GuestSpec,
        source: LiveMigrateSource,
        block_migration: bool | None,
        disk_over_commit: bool,
    ) -> DestCheckData:
        """Accept every guest; fake hosts share no storage."""
        if block_migration is False:
            raise exception.InvalidLocalStorage(
                path=spec.uuid, reason='fake hosts share no storage'
            )
        return DestCheckData(host=self.host)

    @fault_injectable
    def check_can_live_migrate_source(
        self,
        uuid: str,
        dest_check_data: DestCheckData,
        block_migration: bool | None,
    ) -> LiveMigrateData:
        """Require a running guest."""
        guest = self._get_guest(uuid)
        if guest is None or not guest.is_on:
            raise exception.MigrationPreCheckError(
                reason=f'guest {uuid} does not run on {self.host}'
            )
        return LiveMigrateData(
            source_host=self.host,
            dest_host=dest_check_data.host,
            block_migration=True,
        )

    @fault_injectable
    def pre_live_migration(
        self,
        spec: GuestSpec,
        migrate_data: LiveMigrateData,
        image: str | None = None,
    ) -> LiveMigrateData:
        """Record the incoming guest."""
        with self._store.lock(spec.uuid):
            self._reserve_addresses(spec)
            if self._world.apply_due(self.host, spec.uuid) is None:
                incoming = {
                    'source': migrate_data.source_host,
                    'placement': spec.placement,
                }
                self._store.put(f'{self.host}/incoming/{spec.uuid}', incoming)
        return migrate_data

    @fault_injectable
    def rollback_live_migration_at_destination(
        self, uuid: str, migrate_data: LiveMigrateData
    ) -> None:
        """Delete the incoming record and received disks."""
        with self._store.lock(uuid):
            self._store.delete(f'{self.host}/incoming/{uuid}')
            self._store.delete(f'{self.host}/reserved/{uuid}')
            if self._store.get(f'{self.host}/guests/{uuid}') is None:
                self._store.delete(f'{self.host}/disks/{uuid}')

    @fault_injectable
    def start_live_migration(
        self, uuid: str, dest: Peer, migrate_data: LiveMigrateData
    ) -> None:
        """Record when the guest arrives."""
        with self._locked_record(uuid) as record:
            if record['power'] not in POWERED_ON:
                raise exception.GuestFailed(
                    instance_id=uuid,
                    reason='the guest is off and cannot migrate live',
                )
            if (
                record['migration']
                and record['migration']['state'] == 'running'
            ):
                return
            record['migration'] = {
                'state': 'running',
                'dest': dest.host,
                'began_at': now_seconds(),
                'ends_at': now_seconds() + self._world.migration_seconds(),
                'error': None,
            }

    @fault_injectable
    def migration_status(self, uuid: str) -> MigrationStatus:
        """Return the progress as a share of the set time."""
        with self._store.lock(uuid):
            record = self._world.apply_due(self.host, uuid)
            has_migrated = self._store.get(f'{self.host}/migrated/{uuid}')
        if record is None:
            return MigrationStatus('completed' if has_migrated else 'none')
        migration = record['migration']
        if not migration:
            return MigrationStatus('none')
        total = int(record['spec']['memory_mb']) * _MIB
        done = int(
            total * elapsed_share(migration['began_at'], migration['ends_at'])
        )
        return MigrationStatus(
            migration['state'],
            migration['error'],
            memory_total=total,
            memory_processed=done,
            memory_remaining=total - done,
        )

    def tune_migration(
        self, uuid: str, migrate_data: LiveMigrateData, elapsed_seconds: float
    ) -> None:
        """Do nothing: a fake migration takes its set time."""

    @fault_injectable
    def abort_migration(self, uuid: str) -> None:
        """End a running migration."""
        if self._get_guest(uuid) is None:
            return
        with self._locked_record(uuid) as record:
            if (
                record['migration']
                and record['migration']['state'] == 'running'
            ):
                record['migration'] |= {
                    'state': 'cancelled',
                    'error': 'aborted',
                }

    @fault_injectable
    def force_complete(self, uuid: str) -> None:
        """Pause the guest; it arrives soon and runs there."""
        if self._get_guest(uuid) is None:
            return
        with self._locked_record(uuid) as record:
            migration = record['migration']
            if not migration or migration['state'] != 'running':
                return
            migration['ends_at'] = min(
                migration['ends_at'], now_seconds() + _FORCED_SECONDS
            )
            if record['power'] == PowerState.RUNNING:
                migration['paused'] = True
                record['power'] = int(PowerState.PAUSED)
