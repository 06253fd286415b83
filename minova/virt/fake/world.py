# SPDX-License-Identifier: Apache-2.0
"""All fake hosts: what is on them, and what the world outside does to them.

Records: ``HOST/guests/UUID``, ``HOST/disks/UUID``, ``HOST/retained/UUID`` (disks
kept for a way back), ``HOST/incoming/UUID`` (room for a guest that comes),
``HOST/tickets/UUID`` (who may hand disks over, see ``prepare_disk_transfer``),
``HOST/reserved/UUID`` (the addresses that networks of libvirt would keep),
``HOST/migrated/UUID`` (a guest that went), ``HOST/faults/METHOD``,
``HOST/delays/METHOD``, ``orders/migration`` and ``orders/screens``. Times in
them are seconds of the clock's time of day; what is due is done by whoever
looks next.
"""

import os
import queue

from minova import clock
from minova.conf import CONF
from minova.states import POWERED_ON
from minova.states import PowerState
from minova.virt.driver import VncEndpoint
from minova.virt.record_store import DirectoryRecordStore
from minova.virt.record_store import Record
from minova.virt.record_store import RecordStore


def now_seconds() -> float:
    """Return the clock's time of day as the records hold it."""
    return clock.now().timestamp()


def open_record_store() -> RecordStore:
    """Return the shelf that the configuration names."""
    directory = CONF.fake.directory
    return DirectoryRecordStore(
        directory or os.path.join(CONF.state_path, 'fake')
    )


class World:
    """All fake hosts; what tests and simulations see and do from outside."""

    #: What a host can have of a guest.
    RECORD_KINDS = (
        'guests',
        'disks',
        'retained',
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
        """Return the hosts that have been used."""
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
        """Return all that is on the hosts: host, kind, uuid, record.

        Kinds are those of ``KINDS``.
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
        """Let a guest change by itself, or by somebody on its host."""
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
        error: str = 'ordered by a test',
        times: int = 1,
        kind: str = 'GuestFailed',
    ) -> None:
        """Let the next ``times`` calls of a driver method on a host fail."""
        order = {'error': error, 'times': times, 'kind': kind}
        self.store.put(f'{host}/faults/{method}', order)

    def inject_delay(
        self, host: str, method: str, seconds: float, after: bool = False
    ) -> None:
        """Let every call of a driver method on a host take so long.

        It takes its time and then acts; with ``after`` it acts at once and
        takes its time to answer.
        """
        order = {'seconds': seconds, 'after': after}
        self.store.put(f'{host}/delays/{method}', order)

    def set_migration_seconds(self, seconds: float) -> None:
        """Let live migrations that begin from now on take so long."""
        self.store.put('orders/migration', {'seconds': seconds})

    def set_vnc_endpoint(self, host: str, port: int) -> None:
        """Let the screens of all guests be where somebody plays VNC."""
        self.store.put('orders/screens', {'host': host, 'port': port})

    def clear_faults(self) -> None:
        """Take back every fault and delay that was ordered."""
        for host in self.list_hosts():
            for kind in ('faults', 'delays'):
                for name in self.store.list_names(f'{host}/{kind}'):
                    self.store.delete(f'{host}/{kind}/{name}')
        self.store.delete('orders/migration')

    # -- what was ordered ----------------------------------------------------

    def delay(self, host: str, method: str, after: bool) -> float:
        """Return how long a call takes, before or after it acts."""
        order = self.store.get(f'{host}/delays/{method}')
        if order is None or order.get('after', False) != after:
            return 0.0
        return float(order['seconds'])

    def migration_seconds(self) -> float:
        """Return how long a live migration takes."""
        order = self.store.get('orders/migration')
        if order is not None:
            return float(order['seconds'])
        return float(CONF.fake.migration_seconds)

    def vnc_endpoint(self) -> VncEndpoint | None:
        """Return where the screens of guests are, if they are anywhere."""
        order = self.store.get('orders/screens')
        return VncEndpoint(order['host'], order['port']) if order else None

    # -- events --------------------------------------------------------------

    def notify_change(self, host: str, uuid: str) -> None:
        """Tell the driver of a host in this process that a guest changed."""
        self.event_queue(host).put(uuid)

    def event_queue(self, host: str) -> 'queue.SimpleQueue[str]':
        """Return the queue of a host's events."""
        return self._listeners.setdefault(host, queue.SimpleQueue())

    # -- what is due ---------------------------------------------------------

    def apply_due(self, host: str, uuid: str) -> Record | None:
        """Do what is due of a guest; return its record. Needs its lock."""
        arriving = self.store.get(f'{host}/incoming/{uuid}')
        if arriving is not None:
            self._migrate_if_due(arriving['source'], uuid)
        self._migrate_if_due(host, uuid)
        record = self.store.get(f'{host}/guests/{uuid}')
        if record is None:
            return None
        if arriving is not None:
            # It has come; what it went through is the other host's to tell.
            self.store.delete(f'{host}/incoming/{uuid}')
            if (record['move'] or {}).get('paused'):
                # Only until it was here.
                record['power'] = int(PowerState.RUNNING)
            record['move'] = None
            self.store.put(f'{host}/guests/{uuid}', record)
        off_at = record.get('off_at')
        if off_at is not None and off_at <= now_seconds():
            record['off_at'] = None
            if record['power'] == PowerState.RUNNING:
                record['power'] = int(PowerState.SHUTDOWN)
            self.store.put(f'{host}/guests/{uuid}', record)
        return record

    def _migrate_if_due(self, source: str, uuid: str) -> None:
        """Let a guest whose migration is over be at its destination."""
        record = self.store.get(f'{source}/guests/{uuid}')
        move = record.get('move') if record else None
        if record is None or not move or move['state'] != 'running':
            return
        if move['ends_at'] > now_seconds():
            return
        dest = move['dest']
        if dest == source:
            # It has just come; who looks next forgets how.
            return
        if record['power'] not in POWERED_ON:
            move |= {'state': 'failed', 'error': 'it went off on the way'}
            self.store.put(f'{source}/guests/{uuid}', record)
            return
        if self.store.get(f'{dest}/incoming/{uuid}') is None:
            move |= {'state': 'failed', 'error': f'{dest} does not receive it'}
            self.store.put(f'{source}/guests/{uuid}', record)
            return
        disk = self.store.get(f'{source}/disks/{uuid}')
        if disk is not None:
            self.store.put(f'{dest}/disks/{uuid}', disk)
        self.store.delete(f'{dest}/migrated/{uuid}')
        self.store.rename(f'{source}/guests/{uuid}', f'{dest}/guests/{uuid}')
        self.store.put(f'{source}/migrated/{uuid}', {'dest': dest})
