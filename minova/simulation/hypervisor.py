# SPDX-License-Identifier: Apache-2.0
"""The hypervisors of a simulation: fake hosts with a point at every change.

A change that a hypervisor makes by itself (a guest powers off or arrives)
belongs to no process and has no point.
"""

import copy

import orjson

from minova import exception
from minova.simulation.faults import Points
from minova.simulation.scheduler import Scheduler
from minova.states import POWERED_ON
from minova.virt.fake.driver import FakeDriver
from minova.virt.fake.world import World
from minova.virt.record_store import MemoryRecordStore
from minova.virt.record_store import Record

#: The longest duration of a call in seconds.
_MAX_CALL_SECONDS = 0.2
#: Seconds after which libvirt closes the connection of a paused client.
_KEEPALIVE = 30.0
#: The kinds of records whose changes are no points.
_UNNUMBERED_KINDS = ('hosts', 'faults', 'delays', 'away')


class SimulatedWorld(World):
    """All fake hosts, with a check of invariant 1 at every change."""

    def __init__(self, scheduler: Scheduler, points: Points) -> None:
        self._scheduler = scheduler
        self.points = points
        self._settling = 0
        #: Violations of invariant 1: a guest that ran on two hosts.
        self.double_runs: list[str] = []
        super().__init__(SimulatedRecordStore(self))

    def apply_due(self, host: str, uuid: str) -> Record | None:
        """Apply the due changes of a guest in one instant."""
        self._settling += 1
        try:
            return super().apply_due(host, uuid)
        finally:
            self._settling -= 1

    def before_change(self, path: str) -> None:
        """Pass the point before a change."""
        if self._is_point(path):
            self.points.reach('effect', path)

    def after_change(self, path: str) -> None:
        """Check invariant 1 and pass the point after a change."""
        _, kind, *rest = path.split('/')
        if kind == 'guests':
            self._check_runs_once(rest[0])
        if self._is_point(path):
            self.points.reach('effected', path)

    def _is_point(self, path: str) -> bool:
        return not self._settling and not (
            path.startswith('hosts/')
            or path.split('/')[1] in _UNNUMBERED_KINDS
        )

    def _check_runs_once(self, uuid: str) -> None:
        running_on = [
            host
            for host in self.list_hosts()
            if (record := self.store.get(f'{host}/guests/{uuid}'))
            and record['power'] in POWERED_ON
        ]
        if len(running_on) > 1 and not self._settling:
            self.double_runs.append(
                f'{self._scheduler.now:.3f} s: {uuid} runs on '
                f'{" and ".join(running_on)}'
            )

    def lose_host(self, host: str) -> None:
        """Lose a host with all its records."""
        assert isinstance(self.store, SimulatedRecordStore)
        self.store.delete_prefix(f'{host}/')

    def notify_change(self, host: str, uuid: str) -> None:
        """Do nothing; computes compare their guests periodically."""

    def snapshot(self) -> dict[str, Record]:
        """Return all records, for ``restore``."""
        assert isinstance(self.store, SimulatedRecordStore)
        return self.store.snapshot()

    def restore(self, records: dict[str, Record]) -> None:
        """Replace all records by a snapshot."""
        assert isinstance(self.store, SimulatedRecordStore)
        self.store.restore(records)


class SimulatedRecordStore(MemoryRecordStore):
    """The records; each change passes a point."""

    def __init__(self, world: SimulatedWorld) -> None:
        super().__init__()
        self._world = world

    def get(self, path: str) -> Record | None:
        """Return a copy of a record."""
        found = self._records.get(path)
        return None if found is None else orjson.loads(orjson.dumps(found))

    def put(self, path: str, record: Record) -> None:
        """Write a copy of a record."""
        self._world.before_change(path)
        self._records[path] = orjson.loads(orjson.dumps(record))
        self._world.after_change(path)

    def delete(self, path: str) -> None:
        """Remove a record."""
        if path in self._records:
            self._world.before_change(path)
            super().delete(path)
            self._world.after_change(path)

    def rename(self, path: str, new_path: str) -> None:
        """Rename a record."""
        self._world.before_change(path)
        super().rename(path, new_path)
        self._world.after_change(new_path)

    def delete_prefix(self, prefix: str) -> None:
        """Delete all records below a path."""
        for path in [p for p in self._records if p.startswith(prefix)]:
            del self._records[path]

    def snapshot(self) -> dict[str, Record]:
        """Return a copy of all records."""
        return copy.deepcopy(self._records)

    def restore(self, records: dict[str, Record]) -> None:
        """Replace all records."""
        self._records = copy.deepcopy(records)


class SimulatedDriver(FakeDriver):
    """One fake host; each call takes some time and may fail."""

    def __init__(
        self, host: str, world: SimulatedWorld, scheduler: Scheduler
    ) -> None:
        super().__init__(host, world)
        self._scheduler = scheduler
        self._points = world.points

    def raise_injected_fault(self, method: str) -> None:
        """Pass the point of a call, wait, and fail if a fault says so."""
        fault = self._points.reach('call', f'{self.host}.{method}')
        super().raise_injected_fault(method)
        began = self._scheduler.now
        self._scheduler.wait(
            _MAX_CALL_SECONDS * self._scheduler.random.random()
        )
        if self._scheduler.now - began > _KEEPALIVE:
            raise exception.GuestFailed('the connection to libvirt was lost')
        if fault is not None:
            reason = (
                'No space left on device'
                if fault == 'disk_full'
                else 'injected'
            )
            raise _ERRORS[fault](instance_id='(any)', reason=reason)

    def next_event(self, timeout: float) -> str | None:
        """Wait until the process ends; there are no events."""
        self._scheduler.wait(None)
        return None


_ERRORS = {
    'fail': exception.GuestFailed,
    'disk_full': exception.DiskFailed,
}
