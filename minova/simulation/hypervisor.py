# SPDX-License-Identifier: Apache-2.0
"""The hypervisors of a simulation: the fake ones, with points at every change.

What a hypervisor does by itself (a guest that goes off, one that arrives) is
no act of the process that happens to look next: there are no points in it.
"""

import copy
from typing import Any

import orjson

from minova import exception
from minova.simulation.faults import Points
from minova.simulation.scheduler import Scheduler
from minova.states import ON
from minova.virt.fake.driver import FakeDriver
from minova.virt.fake.world import World
from minova.virt.shelf import MemoryShelf
from minova.virt.shelf import Record

#: Seconds that a call takes at most.
_PACE = 0.2
#: Seconds for which a client that was stopped is not taken for gone.
_KEEPALIVE = 30.0
#: What may be written at any time: it is nobody's effect.
_QUIET = ('hosts', 'faults', 'delays')


class Hypervisors(World):
    """All fake hosts, and a look at the first law at every change."""

    def __init__(self, scheduler: Scheduler, points: Points) -> None:
        self._scheduler = scheduler
        self.points = points
        self._settling = 0
        #: Where one guest was seen to run at two hosts.
        self.doubles: list[str] = []
        super().__init__(Records(self))

    def settle(self, host: str, uuid: str) -> Record | None:
        """Do what is due of a guest, in one instant."""
        self._settling += 1
        try:
            return super().settle(host, uuid)
        finally:
            self._settling -= 1

    def before(self, path: str) -> None:
        """Come to the point before a change."""
        if self._counts(path):
            self.points.reach('effect', path)

    def after(self, path: str) -> None:
        """Come to the point after a change; look at the first law."""
        _, kind, *rest = path.split('/')
        if kind == 'guests':
            self._require_one(rest[0])
        if self._counts(path):
            self.points.reach('effected', path)

    def _counts(self, path: str) -> bool:
        return not self._settling and not (
            path.startswith('hosts/') or path.split('/')[1] in _QUIET
        )

    def _require_one(self, uuid: str) -> None:
        where = [
            host
            for host in self.shelf_hosts()
            if (record := self.shelf.get(f'{host}/guests/{uuid}'))
            and record['power'] in ON
        ]
        if len(where) > 1 and not self._settling:
            self.doubles.append(
                f'{self._scheduler.now:.3f} s: {uuid} runs at '
                f'{" and ".join(where)}'
            )

    def lose(self, host: str) -> None:
        """Let a host be gone for good, with all that is on it."""
        assert isinstance(self.shelf, Records)
        self.shelf.drop(f'{host}/')

    def announce(self, host: str, uuid: str) -> None:
        """Guests are looked at periodically; nobody waits for events."""

    def copy(self) -> dict[str, Any]:
        """Return all records, to be put back by ``put_back``."""
        assert isinstance(self.shelf, Records)
        return self.shelf.copy()

    def put_back(self, records: dict[str, Any]) -> None:
        """Let all records be what they were."""
        assert isinstance(self.shelf, Records)
        self.shelf.put_back(records)


class Records(MemoryShelf):
    """The records, each change of which is a point."""

    def __init__(self, world: Hypervisors) -> None:
        super().__init__()
        self._world = world

    def get(self, path: str) -> Record | None:
        """Return a copy of a record."""
        found = self._records.get(path)
        return None if found is None else orjson.loads(orjson.dumps(found))

    def put(self, path: str, record: Record) -> None:
        """Write a copy of a record."""
        self._world.before(path)
        self._records[path] = orjson.loads(orjson.dumps(record))
        self._world.after(path)

    def delete(self, path: str) -> None:
        """Remove a record."""
        if path in self._records:
            self._world.before(path)
            super().delete(path)
            self._world.after(path)

    def move(self, path: str, to: str) -> None:
        """Rename a record."""
        self._world.before(path)
        super().move(path, to)
        self._world.after(to)

    def drop(self, prefix: str) -> None:
        """Remove all records whose path begins so."""
        for path in [p for p in self._records if p.startswith(prefix)]:
            del self._records[path]

    def copy(self) -> dict[str, Record]:
        """Return a copy of all records."""
        return copy.deepcopy(self._records)

    def put_back(self, records: dict[str, Record]) -> None:
        """Replace all records."""
        self._records = copy.deepcopy(records)


class SimulatedDriver(FakeDriver):
    """One fake host, whose every call takes a moment and may fail."""

    def __init__(
        self, host: str, world: Hypervisors, scheduler: Scheduler
    ) -> None:
        super().__init__(host, world)
        self._scheduler = scheduler
        self._points = world.points

    def fail_if_ordered(self, method: str) -> None:
        """Take a moment; fail if that is what a fault orders."""
        fault = self._points.reach('call', f'{self.host}.{method}')
        super().fail_if_ordered(method)
        began = self._scheduler.now
        self._scheduler.wait(_PACE * self._scheduler.random.random())
        if self._scheduler.now - began > _KEEPALIVE:
            raise exception.GuestFailed('the connection to libvirt was lost')
        if fault is not None:
            why = 'No space left on device' if fault == 'full' else 'injected'
            raise _ERRORS[fault](instance_id='(any)', reason=why)

    def next_event(self, timeout: float) -> str | None:
        """Wait until the process ends: nothing is ever announced."""
        self._scheduler.wait(None)
        return None


_ERRORS = {
    'fail': exception.GuestFailed,
    'full': exception.DiskFailed,
}
