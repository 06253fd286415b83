# SPDX-License-Identifier: Apache-2.0
"""All fake hosts: what is on them, and what the world outside does to them.

Records: ``HOST/guests/UUID``, ``HOST/disks/UUID``, ``HOST/aside/UUID`` (disks
kept for a way back), ``HOST/arriving/UUID`` (room for a guest that comes),
``HOST/invited/UUID`` (who may hand disks over, see ``prepare_disks``),
``HOST/reserved/UUID`` (the addresses that networks of libvirt would keep),
``HOST/moved/UUID`` (a guest that went), ``HOST/faults/METHOD``,
``HOST/delays/METHOD``, ``orders/migration`` and ``orders/screens``. Times in
them are seconds of the clock's time of day; what is due is done by whoever
looks next.
"""

import os
import queue

from minova import clock
from minova.conf import CONF
from minova.states import ON
from minova.states import Power
from minova.virt.driver import Screen
from minova.virt.shelf import DirectoryShelf
from minova.virt.shelf import Record
from minova.virt.shelf import Shelf


def seconds() -> float:
    """Return the clock's time of day as the records hold it."""
    return clock.now().timestamp()


def open_shelf() -> Shelf:
    """Return the shelf that the configuration names."""
    directory = CONF.fake.directory
    return DirectoryShelf(directory or os.path.join(CONF.state_path, 'fake'))


class World:
    """All fake hosts; what tests and simulations see and do from outside."""

    #: What a host can have of a guest.
    KINDS = ('guests', 'disks', 'aside', 'arriving', 'invited', 'reserved')

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self._listeners: dict[str, queue.SimpleQueue[str]] = {}

    # -- seen from outside ---------------------------------------------------

    def running(self, uuid: str) -> list[str]:
        """Return the hosts on which a guest runs or is paused."""
        return [
            host
            for host in self.shelf_hosts()
            if (record := self.guest(host, uuid)) is not None
            and record['power'] in ON
        ]

    def shelf_hosts(self) -> list[str]:
        """Return the hosts that have been used."""
        return self.shelf.names('hosts')

    def guest(self, host: str, uuid: str) -> Record | None:
        """Return a guest's record, None when the host does not know it."""
        with self.shelf.alone(uuid):
            return self.settle(host, uuid)

    def disk(self, host: str, uuid: str, aside: bool = False) -> Record | None:
        """Return the record of a guest's disks."""
        return self.shelf.get(f'{host}/{"aside" if aside else "disks"}/{uuid}')

    def everything(self) -> dict[str, dict[str, dict[str, Record]]]:
        """Return all that is on the hosts: host, kind, uuid, record.

        Kinds are those of ``KINDS``.
        """
        for host in self.shelf_hosts():
            for uuid in self.shelf.names(f'{host}/guests'):
                self.guest(host, uuid)
        return {
            host: {
                kind: self._records(f'{host}/{kind}') for kind in self.KINDS
            }
            for host in self.shelf_hosts()
        }

    def _records(self, folder: str) -> dict[str, Record]:
        return {
            name: record
            for name in self.shelf.names(folder)
            if (record := self.shelf.get(f'{folder}/{name}')) is not None
        }

    # -- done from outside ---------------------------------------------------

    def set_power(self, host: str, uuid: str, power: Power) -> None:
        """Let a guest change by itself, or by somebody on its host."""
        with self.shelf.alone(uuid):
            record = self.settle(host, uuid)
            if record is None:
                raise LookupError(f'{host} has no guest {uuid}')
            record['power'] = int(power)
            if power in ON:
                record['saved'] = False
            self.shelf.put(f'{host}/guests/{uuid}', record)
        self.announce(host, uuid)

    def break_(
        self,
        host: str,
        method: str,
        error: str = 'ordered by a test',
        times: int = 1,
        kind: str = 'GuestFailed',
    ) -> None:
        """Let the next ``times`` calls of a driver method on a host fail."""
        order = {'error': error, 'times': times, 'kind': kind}
        self.shelf.put(f'{host}/faults/{method}', order)

    def slow(
        self, host: str, method: str, seconds: float, after: bool = False
    ) -> None:
        """Let every call of a driver method on a host take so long.

        It takes its time and then acts; with ``after`` it acts at once and
        takes its time to answer.
        """
        order = {'seconds': seconds, 'after': after}
        self.shelf.put(f'{host}/delays/{method}', order)

    def migrations_take(self, seconds: float) -> None:
        """Let live migrations that begin from now on take so long."""
        self.shelf.put('orders/migration', {'seconds': seconds})

    def screens_at(self, host: str, port: int) -> None:
        """Let the screens of all guests be where somebody plays VNC."""
        self.shelf.put('orders/screens', {'host': host, 'port': port})

    def heal(self) -> None:
        """Take back every fault and delay that was ordered."""
        for host in self.shelf_hosts():
            for kind in ('faults', 'delays'):
                for name in self.shelf.names(f'{host}/{kind}'):
                    self.shelf.delete(f'{host}/{kind}/{name}')
        self.shelf.delete('orders/migration')

    # -- what was ordered ----------------------------------------------------

    def delay(self, host: str, method: str, after: bool) -> float:
        """Return how long a call takes, before or after it acts."""
        order = self.shelf.get(f'{host}/delays/{method}')
        if order is None or order.get('after', False) != after:
            return 0.0
        return float(order['seconds'])

    def migration_seconds(self) -> float:
        """Return how long a live migration takes."""
        order = self.shelf.get('orders/migration')
        if order is not None:
            return float(order['seconds'])
        return float(CONF.fake.migration_seconds)

    def screen(self) -> Screen | None:
        """Return where the screens of guests are, if they are anywhere."""
        order = self.shelf.get('orders/screens')
        return Screen(order['host'], order['port']) if order else None

    # -- events --------------------------------------------------------------

    def announce(self, host: str, uuid: str) -> None:
        """Tell the driver of a host in this process that a guest changed."""
        self.listener(host).put(uuid)

    def listener(self, host: str) -> 'queue.SimpleQueue[str]':
        """Return the queue of a host's events."""
        return self._listeners.setdefault(host, queue.SimpleQueue())

    # -- what is due ---------------------------------------------------------

    def settle(self, host: str, uuid: str) -> Record | None:
        """Do what is due of a guest; return its record. Needs its lock."""
        arriving = self.shelf.get(f'{host}/arriving/{uuid}')
        if arriving is not None:
            self._move_if_due(arriving['source'], uuid)
        self._move_if_due(host, uuid)
        record = self.shelf.get(f'{host}/guests/{uuid}')
        if record is None:
            return None
        if arriving is not None:
            # It has come; what it went through is the other host's to tell.
            self.shelf.delete(f'{host}/arriving/{uuid}')
            if (record['move'] or {}).get('paused'):
                # Only until it was here.
                record['power'] = int(Power.RUNNING)
            record['move'] = None
            self.shelf.put(f'{host}/guests/{uuid}', record)
        off_at = record.get('off_at')
        if off_at is not None and off_at <= seconds():
            record['off_at'] = None
            if record['power'] == Power.RUNNING:
                record['power'] = int(Power.SHUTDOWN)
            self.shelf.put(f'{host}/guests/{uuid}', record)
        return record

    def _move_if_due(self, source: str, uuid: str) -> None:
        """Let a guest whose migration is over be at its destination."""
        record = self.shelf.get(f'{source}/guests/{uuid}')
        move = record.get('move') if record else None
        if record is None or not move or move['state'] != 'running':
            return
        if move['ends_at'] > seconds():
            return
        dest = move['dest']
        if dest == source:
            # It has just come; who looks next forgets how.
            return
        if record['power'] not in ON:
            move |= {'state': 'failed', 'error': 'it went off on the way'}
            self.shelf.put(f'{source}/guests/{uuid}', record)
            return
        if self.shelf.get(f'{dest}/arriving/{uuid}') is None:
            move |= {'state': 'failed', 'error': f'{dest} does not receive it'}
            self.shelf.put(f'{source}/guests/{uuid}', record)
            return
        disk = self.shelf.get(f'{source}/disks/{uuid}')
        if disk is not None:
            self.shelf.put(f'{dest}/disks/{uuid}', disk)
        self.shelf.delete(f'{dest}/moved/{uuid}')
        self.shelf.move(f'{source}/guests/{uuid}', f'{dest}/guests/{uuid}')
        self.shelf.put(f'{source}/moved/{uuid}', {'dest': dest})
