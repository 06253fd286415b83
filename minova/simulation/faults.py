# SPDX-License-Identifier: Apache-2.0
"""Points and faults: where something may go wrong, and what does.

Whenever a process comes to a *point*, the point gets the next number. The
numbers depend on the seed and on nothing else, so what is ordered for a number
happens there each time.

========= ==================================================================
point     when
========= ==================================================================
commit    before a transaction that writes begins
committed after it was committed
send      before a message, or an answer, goes to the broker
sent      after that
receive   a message was taken, and is not acted on yet
answered  it was acted on; the answer, if one is due, is not sent yet
call      before a hypervisor is asked for something
effect    before a hypervisor or a disk is changed
effected  after that
publish   before a notification goes to the broker
published the broker has confirmed it
========= ==================================================================
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
from typing import Final

from minova.simulation.scheduler import Process
from minova.simulation.scheduler import ProcessKilled
from minova.simulation.scheduler import Scheduler

_ALL_POINTS: Final = frozenset(
    {
        'commit',
        'committed',
        'send',
        'sent',
        'receive',
        'answered',
        'call',
        'effect',
        'effected',
        'publish',
        'published',
    }
)

#: Where a process is not about to change something on a host. That two starts
#: of a compute never act at the same time is seen to by a lock.
_OUTSIDE_HOST_CHANGES: Final = _ALL_POINTS - {'call', 'effect', 'effected'}

#: At which points a fault makes sense, and what it is.
KINDS: Final[Mapping[str, tuple[frozenset[str], str]]] = {
    'crash': (_ALL_POINTS, 'a process is gone and started again later'),
    'pause': (_ALL_POINTS, 'a process stops, and goes on later'),
    'stale_process': (
        _OUTSIDE_HOST_CHANGES,
        'another start of a process that goes on later',
    ),
    'skew': (_ALL_POINTS, 'the time of day of a machine jumps'),
    'broker': (_ALL_POINTS, 'the broker is down for a while'),
    'database': (_ALL_POINTS, 'the database is down for a while'),
    'host_lost': (_ALL_POINTS, 'a host is lost for good with its guests'),
    'drop': (frozenset({'send'}), 'this message is lost'),
    'duplicate': (frozenset({'send'}), 'this message arrives twice'),
    'delay': (frozenset({'send'}), 'this message arrives late'),
    'deadlock': (frozenset({'commit'}), 'this transaction is rolled back'),
    'commit_unknown': (
        frozenset({'commit'}),
        'it is committed, and nobody is told',
    ),
    'fail': (frozenset({'call'}), 'the hypervisor refuses this'),
    'disk_full': (frozenset({'call'}), 'the disk is full'),
}


@dataclasses.dataclass(frozen=True)
class Fault:
    """What happens at a point.

    ``who`` is the process it happens to, by default the one that comes to
    the point. ``seconds`` is how long it lasts: until the restart of what
    crashed, until what is down is up again, by how much a clock jumps.
    """

    point: int
    kind: str
    target: str | None = None
    seconds: float = 2.0

    def __str__(self) -> str:
        who = f' {self.target}' if self.target else ''
        return f'{self.point}:{self.kind}{who}:{self.seconds:g}'

    @classmethod
    def parse(cls, text: str) -> 'Fault':
        """Read what ``str`` has written; ValueError when it is not that."""
        parts = text.split(':')
        if len(parts) not in (2, 3):
            raise ValueError(f'{text} is not AT:KIND[ WHO][:SECONDS]')
        kind, _, who = parts[1].partition(' ')
        if kind not in KINDS:
            known = ', '.join(KINDS)
            raise ValueError(f'{kind} is no fault; there are {known}')
        seconds = float(parts[2]) if len(parts) == 3 else 2.0
        return cls(int(parts[0]), kind, who or None, seconds)


@dataclasses.dataclass(frozen=True)
class Point:
    """One point that was passed."""

    number: int
    kind: str
    process: str
    what: str
    time: float


#: After these every action ends as it would have ended without them, if they
#: do not last longer than HARMLESS_SECONDS.
RECOVERABLE: Final = frozenset(
    {
        'crash',
        'pause',
        'broker',
        'database',
        'drop',
        'duplicate',
        'delay',
        'deadlock',
        'commit_unknown',
    }
)
RECOVERABLE_SECONDS: Final = 30.0

#: Does what a fault orders to a process; the world's part of it.
InjectFault = Callable[[Fault, Process], None]


class Points:
    """Numbers the points and lets happen what is ordered for them."""

    def __init__(self, scheduler: Scheduler, strike: InjectFault) -> None:
        self._scheduler = scheduler
        self._inject_fault = strike
        self._scheduled: dict[int, list[Fault]] = {}
        self.number = 0
        #: Points are counted and passed on only while this is set.
        self.is_counting = False
        self.passed: list[Point] = []
        self.injected: list[Fault] = []

    def schedule(self, *faults: Fault) -> None:
        """Let faults happen when their numbers are reached."""
        for fault in faults:
            self._scheduled.setdefault(fault.point, []).append(fault)

    def reach(self, kind: str, what: str) -> str | None:
        """Come to a point; return the fault that the caller must bring about.

        Raises Killed when the process of the caller ends here.
        """
        scheduler = self._scheduler
        scheduler.raise_if_killed()
        process = scheduler.current.process
        if not self.is_counting or process is scheduler.external:
            return None
        self.number += 1
        self.passed.append(
            Point(self.number, kind, process.name, what, scheduler.now)
        )
        verdict = None
        for fault in self._scheduled.pop(self.number, ()):
            verdict = self._inject(fault, kind, process) or verdict
        if process.dead:
            raise ProcessKilled
        return verdict

    def _inject(self, fault: Fault, kind: str, process: Process) -> str | None:
        where, _ = KINDS[fault.kind]
        if kind not in where:
            return None
        self.injected.append(fault)
        if where >= _OUTSIDE_HOST_CHANGES:
            self._inject_fault(fault, process)
            return None
        return fault.kind
