# SPDX-License-Identifier: Apache-2.0
"""Points and faults: where a fault may be injected, and which faults exist.

Each *point* that a process reaches gets the next number. The numbers depend on
the seed alone, so a fault scheduled for a number strikes at the same point in
every run.

========= ==================================================================
point     when
========= ==================================================================
commit    before a writing transaction begins
committed after its commit
send      before a message or an answer goes to the broker
sent      after that
receive   a message was received and is not handled yet
answered  a message was handled; its answer, if any, is not sent yet
call      before a call of a hypervisor
effect    before a change of a hypervisor or a disk
effected  after that
image     before a request to the image service
imaged    the image service has handled it; its reply is on the way
publish   before a notification goes to the broker
published the broker has confirmed it
========= ==================================================================
"""

from collections.abc import Callable
from collections.abc import Iterable
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
        'image',
        'imaged',
        'publish',
        'published',
    }
)

#: The points outside changes of a host. A lock file keeps two processes of a
#: compute from acting at the same time.
_OUTSIDE_HOST_CHANGES: Final = _ALL_POINTS - {'call', 'effect', 'effected'}

#: The points at which a kind of fault is possible, and its description.
KINDS: Final[Mapping[str, tuple[frozenset[str], str]]] = {
    'crash': (_ALL_POINTS, 'a process is killed and restarted later'),
    'pause': (_ALL_POINTS, 'a process is stopped and continues later'),
    'stale_process': (
        _OUTSIDE_HOST_CHANGES,
        'a process is stopped, replaced, and continues beside the new one',
    ),
    'skew': (_ALL_POINTS, 'the clock of a machine jumps'),
    'broker': (_ALL_POINTS, 'the broker is down for a while'),
    'database': (_ALL_POINTS, 'the database is down for a while'),
    'hypervisor': (
        _ALL_POINTS,
        'the hypervisor of a host answers no calls for a while',
    ),
    'host_lost': (_ALL_POINTS, 'a host is lost for good with its guests'),
    'drop': (frozenset({'send'}), 'the message is lost'),
    'duplicate': (frozenset({'send'}), 'the message arrives twice'),
    'delay': (frozenset({'send'}), 'the message arrives late'),
    'deadlock': (frozenset({'commit'}), 'the transaction is rolled back'),
    'commit_unknown': (
        frozenset({'commit'}),
        'the transaction is committed and its confirmation is lost',
    ),
    'fail': (frozenset({'call'}), 'the call of the hypervisor fails'),
    'disk_full': (frozenset({'call'}), 'the disk is full'),
    'image_fail': (frozenset({'image'}), 'the image service fails'),
    'image_late': (
        frozenset({'image'}),
        'the image service handles the request after its client gave up',
    ),
    'image_lost': (frozenset({'imaged'}), 'the reply is lost'),
}


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault at a point.

    ``target`` is the affected process, by default the one that reaches the
    point. ``seconds`` is the time until a restart or recovery, or the jump of
    a clock.
    """

    point: int
    kind: str
    target: str | None = None
    seconds: float = 2.0

    def __str__(self) -> str:
        target = f' {self.target}' if self.target else ''
        return f'{self.point}:{self.kind}{target}:{self.seconds:g}'

    @classmethod
    def parse(cls, text: str) -> 'Fault':
        """Parse the form of ``str``; raise ValueError for another one."""
        parts = text.split(':')
        if len(parts) not in (2, 3):
            raise ValueError(f'{text} is not POINT:FAULT[ PROCESS][:SECONDS]')
        kind, _, target = parts[1].partition(' ')
        if kind not in KINDS:
            known = ', '.join(KINDS)
            raise ValueError(f'{kind} is not a fault; the faults are {known}')
        seconds = float(parts[2]) if len(parts) == 3 else 2.0
        return cls(int(parts[0]), kind, target or None, seconds)


@dataclasses.dataclass(frozen=True)
class Point:
    """A point that a process has passed."""

    number: int
    kind: str
    process: str
    what: str
    time: float


#: The faults after which every action must end as without them, if they last
#: at most RECOVERABLE_SECONDS.
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
        'image_fail',
        'image_late',
        'image_lost',
    }
)
RECOVERABLE_SECONDS: Final = 30.0

#: Applies a fault to a process or to the cloud.
InjectFault = Callable[[Fault, Process], None]


class Points:
    """Numbers the points and injects the scheduled faults."""

    def __init__(
        self, scheduler: Scheduler, inject_fault: InjectFault
    ) -> None:
        self._scheduler = scheduler
        self._inject_fault = inject_fault
        self._scheduled: dict[int, list[Fault]] = {}
        self.number = 0
        #: Points count, and faults strike, only while this is set.
        self.is_counting = False
        self.passed: list[Point] = []
        #: Called with the number of each point; returns faults to schedule.
        self.on_reach: Callable[[int], Iterable[Fault]] = lambda number: ()
        self.injected: list[Fault] = []

    def schedule(self, *faults: Fault) -> None:
        """Schedule faults for their points."""
        for fault in faults:
            self._scheduled.setdefault(fault.point, []).append(fault)

    def reach(self, kind: str, what: str) -> str | None:
        """Pass a point; return the kind of fault that the caller must apply.

        Raises ProcessKilled if the fault kills the caller's process.
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
        self.schedule(*self.on_reach(self.number))
        verdict = None
        for fault in self._scheduled.pop(self.number, ()):
            verdict = self._inject(fault, kind, process) or verdict
        if process.dead:
            raise ProcessKilled
        return verdict

    def _inject(self, fault: Fault, kind: str, process: Process) -> str | None:
        possible, _ = KINDS[fault.kind]
        if kind not in possible:
            return None
        self.injected.append(fault)
        if possible >= _OUTSIDE_HOST_CHANGES:
            self._inject_fault(fault, process)
            return None
        return fault.kind
