# SPDX-License-Identifier: Apache-2.0
"""All fake hosts: their records, and changes from outside.

Records: ``HOST/guests/UUID``, ``HOST/disks/UUID``, ``HOST/retained/UUID``
(retained disks), ``HOST/snapshots/UUID`` (copies for images),
``HOST/incoming/UUID`` (an incoming guest),
``HOST/tickets/UUID`` (see ``prepare_disk_transfer``), ``HOST/reserved/UUID``
(addresses that libvirt networks would reserve), ``HOST/migrated/UUID`` (a
guest that left), ``HOST/faults/METHOD``, ``HOST/delays/METHOD``,
``HOST/away/hypervisor``, ``orders/migration``, ``orders/storage``,
``orders/screens`` and ``orders/agents``. Times are seconds of the clock's time
of day; the next access to a guest applies what is due.
"""

import os
import queue

from minova.conf import CONF
from minova.states import POWERED_ON
from minova.states import PowerState
from minova.virt.driver import GraphicsEndpoint
from minova.virt.record_store import DirectoryRecordStore
from minova.virt.record_store import Record
from minova.virt.record_store import RecordStore
from minova.virt.simulated_time import now_seconds


def open_record_store() -> RecordStore:
    """Return the configured record store."""
    directory = CONF.fake.directory
    return DirectoryRecordStore(
        directory or os.path.join(CONF.state_path, 'fake')
    )


class World:
    """All fake hosts, as tests and simulations see and change them."""

    #: The kinds of records of a guest on a host.
    RECORD_KINDS = (
        'guests',
        'disks',
        'retained',
        'snapshots',
        'incoming',
        'tickets',
        'reserved',
    )

    def __init__(self, store: RecordStore) -> None:
        self.store = store
        self._listeners: dict[str, queue.SimpleQueue[str]] = {}

    # -- seen from outside ---------------------------------------------------

    def running(self, uuid: str) -> list[str]:
        """Return the hosts on which a guest runs or is paused."""
        return [
            host
            for host in self.list_hosts()
            if (record := self.guest(host, uuid)) is not None
            and record['power'] in POWERED_ON
        ]

    def list_hosts(self) -> list[str]:
        """Return the hosts that were opened."""
        return self.store.list_names('hosts')

    def guest(self, host: str, uuid: str) -> Record | None:
        """Return a guest's record, None when the host does not know it."""
        with self.store.lock(uuid):
            return self.apply_due(host, uuid)

    def get_disks(
        self, host: str, uuid: str, retained: bool = False
    ) -> Record | None:
        """Return the record of a guest's disks."""
        return self.store.get(
            f'{host}/{"retained" if retained else "disks"}/{uuid}'
        )

    def dump(self) -> dict[str, dict[str, dict[str, Record]]]:
        """Return all records: host, kind, uuid, record.

        Kinds are ``RECORD_KINDS``.
        """
        for host in self.list_hosts():
            for uuid in self.store.list_names(f'{host}/guests'):
                self.guest(host, uuid)
        return {
            host: {
                kind: self._records(f'{host}/{kind}')
                for kind in self.RECORD_KINDS
            }
            for host in self.list_hosts()
        }

    def _records(self, folder: str) -> dict[str, Record]:
        return {
            name: record
            for name in self.store.list_names(folder)
            if (record := self.store.get(f'{folder}/{name}')) is not None
        }

    # -- done from outside ---------------------------------------------------

    def set_power(self, host: str, uuid: str, power: PowerState) -> None:
        """Change the power of a guest from outside."""
        with self.store.lock(uuid):
            record = self.apply_due(host, uuid)
            if record is None:
                raise LookupError(f'{host} has no guest {uuid}')
            record['power'] = int(power)
            if power in POWERED_ON:
                record['saved'] = False
            self.store.put(f'{host}/guests/{uuid}', record)
        self.notify_change(host, uuid)

    def inject_fault(
        self,
        host: str,
        method: str,
        error: str = 'injected fault',
        times: int = 1,
        kind: str = 'GuestFailed',
    ) -> None:
        """Let the next ``times`` calls of a driver method on a host fail."""
        setting = {'error': error, 'times': times, 'kind': kind}
        self.store.put(f'{host}/faults/{method}', setting)

    def inject_delay(
        self, host: str, method: str, seconds: float, after: bool = False
    ) -> None:
        """Delay every call of a driver method on a host.

        The delay comes before the call, or with ``after`` before its answer.
        """
        setting = {'seconds': seconds, 'after': after}
        self.store.put(f'{host}/delays/{method}', setting)

    def stop_hypervisor(
        self, host: str, error: str = 'the connection was refused'
    ) -> None:
        """Let a hypervisor answer no call; its guests run on."""
        self.store.put(f'{host}/away/hypervisor', {'error': error})

    def start_hypervisor(self, host: str) -> None:
        """Let a hypervisor answer again."""
        self.store.delete(f'{host}/away/hypervisor')

    def set_migration_seconds(self, seconds: float) -> None:
        """Set the duration of live migrations that start from now on."""
        self.store.put('orders/migration', {'seconds': seconds})

    def share_storage(self) -> None:
        """Let every host see the disks of all hosts."""
        self.store.put('orders/storage', {'shared': True})

    def has_shared_storage(self) -> bool:
        """Return whether every host sees the disks of all hosts."""
        return self.store.get('orders/storage') is not None

    def set_graphics_endpoint(
        self,
        protocol: str,
        host: str,
        port: int | None,
        tls_port: int | None = None,
    ) -> None:
        """Set the VNC or SPICE endpoint of all guests."""
        self.store.put(
            f'orders/{protocol}',
            {'host': host, 'port': port, 'tls_port': tls_port},
        )

    def set_guest_agent(self, answers: bool) -> None:
        """Let the agents of all guests answer, or not."""
        self.store.put('orders/agents', {'answers': answers})

    def clear_faults(self) -> None:
        """Remove all injected faults and delays."""
        for host in self.list_hosts():
            for kind in ('faults', 'delays', 'away'):
                for name in self.store.list_names(f'{host}/{kind}'):
                    self.store.delete(f'{host}/{kind}/{name}')
        self.store.delete('orders/migration')

    # -- what was ordered ----------------------------------------------------

    def delay(self, host: str, method: str, after: bool) -> float:
        """Return the delay of a call, before or after it."""
        setting = self.store.get(f'{host}/delays/{method}')
        if setting is None or setting.get('after', False) != after:
            return 0.0
        return float(setting['seconds'])

    def hypervisor_error(self, host: str) -> str | None:
        """Return why a hypervisor does not answer, None when it does."""
        setting = self.store.get(f'{host}/away/hypervisor')
        return None if setting is None else str(setting['error'])

    def migration_seconds(self) -> float:
        """Return the duration of a live migration."""
        setting = self.store.get('orders/migration')
        if setting is not None:
            return float(setting['seconds'])
        return float(CONF.fake.migration_seconds)

    def graphics_endpoint(self, protocol: str) -> GraphicsEndpoint | None:
        """Return the VNC or SPICE endpoint of all guests, if one is set."""
        setting = self.store.get(f'orders/{protocol}')
        if setting is None:
            return None
        return GraphicsEndpoint(**setting)

    def has_guest_agent(self) -> bool:
        """Return whether the agents of guests answer."""
        setting = self.store.get('orders/agents')
        return setting is None or bool(setting['answers'])

    # -- events --------------------------------------------------------------

    def notify_change(self, host: str, uuid: str) -> None:
        """Notify the driver of a host in this process of a changed guest."""
        self.event_queue(host).put(uuid)

    def event_queue(self, host: str) -> 'queue.SimpleQueue[str]':
        """Return the queue of a host's events."""
        return self._listeners.setdefault(host, queue.SimpleQueue())

    # -- what is due ---------------------------------------------------------

    def apply_due(self, host: str, uuid: str) -> Record | None:
        """Apply what is due for a guest; return its record. Needs its lock."""
        incoming = self.store.get(f'{host}/incoming/{uuid}')
        if incoming is not None:
            self._migrate_if_due(incoming['source'], uuid)
        self._migrate_if_due(host, uuid)
        record = self.store.get(f'{host}/guests/{uuid}')
        if record is None:
            return None
        if incoming is not None:
            # The guest has arrived; the source reports the migration.
            self.store.delete(f'{host}/incoming/{uuid}')
            if (record['migration'] or {}).get('paused'):
                # A forced migration pauses the guest until it arrives.
                record['power'] = int(PowerState.RUNNING)
            record['migration'] = None
            record['spec']['placement'] = incoming['placement']
            self.store.put(f'{host}/guests/{uuid}', record)
        off_at = record.get('off_at')
        if off_at is not None and off_at <= now_seconds():
            record['off_at'] = None
            if record['power'] == PowerState.RUNNING:
                record['power'] = int(PowerState.SHUTDOWN)
            self.store.put(f'{host}/guests/{uuid}', record)
        return record

    def _migrate_if_due(self, source: str, uuid: str) -> None:
        """Move a guest to its destination when its migration is due."""
        record = self.store.get(f'{source}/guests/{uuid}')
        migration = record.get('migration') if record else None
        if record is None or not migration or migration['state'] != 'running':
            return
        if migration['ends_at'] > now_seconds():
            return
        dest = migration['dest']
        if dest == source:
            # The guest has just arrived; ``apply_due`` clears the rest.
            return
        if record['power'] not in POWERED_ON:
            migration |= {
                'state': 'failed',
                'error': 'the guest went off during the migration',
            }
            self.store.put(f'{source}/guests/{uuid}', record)
            return
        if self.store.get(f'{dest}/incoming/{uuid}') is None:
            migration |= {
                'state': 'failed',
                'error': f'{dest} is not prepared to receive the guest',
            }
            self.store.put(f'{source}/guests/{uuid}', record)
            return
        disk = self.store.get(f'{source}/disks/{uuid}')
        if disk is not None:
            self.store.put(f'{dest}/disks/{uuid}', disk)
        self.store.delete(f'{dest}/migrated/{uuid}')
        self.store.rename(f'{source}/guests/{uuid}', f'{dest}/guests/{uuid}')
        self.store.put(f'{source}/migrated/{uuid}', {'dest': dest})
