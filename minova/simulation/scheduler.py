# SPDX-License-Identifier: Apache-2.0
"""One thing at a time: threads that hand over to each other, virtual time.

Each task is a real thread, so the services run unchanged; but only one of
them ever runs, until it waits or comes to a point where another may. Who is
next is drawn from the seed. Time stands still while anybody can run and then
jumps to the next moment at which something is due.
"""

from collections.abc import Callable
import heapq
import itertools
import random
import threading
from typing import Any
from typing import TypeAlias

#: How often, of all points where another task may go on, one does.
_EAGERNESS = 0.5


class Killed(BaseException):
    """The process that this task belongs to is gone.

    No Exception: what is written to go on after errors does not go on.
    """


class Stuck(AssertionError):
    """Everybody waits for something that nobody will do."""


class Process:
    """What lives and dies together; a service, or the world outside."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.paused = False
        #: Seconds by which its machine's time of day is wrong.
        self.skew = 0.0
        self.tasks: dict[Task, None] = {}


class Task:
    """A thread of a process."""

    def __init__(
        self, name: str, process: Process, fn: Callable[[], object] | None
    ) -> None:
        self.name = name
        self.process = process
        self.fn = fn
        self.gate = threading.Lock()
        self.gate.acquire()
        self.begun = False
        #: Grows with each wait, so that what was to end an older one is void.
        self.turn = 0
        self.waiting = False
        self.timed_out = False
        self.ended = False
        self.joiners: list[tuple[Task, int]] = []


Waiter: TypeAlias = tuple[Task, int]


class _Carrier:
    """An operating system's thread, which carries one task after another."""

    def __init__(self, name: str) -> None:
        self.gate = threading.Lock()
        self.gate.acquire()
        self.task: Task | None = None
        self.scheduler: Scheduler | None = None
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        while True:
            self.gate.acquire()
            task, scheduler = self.task, self.scheduler
            assert task is not None and scheduler is not None
            try:
                scheduler.carry(task)
            finally:
                self.task = self.scheduler = None
                _idle.append(self)
                scheduler.leave()


#: Carriers without a task; they serve every simulation of the process.
_idle: list[_Carrier] = []


class Scheduler:
    """Decides who runs, and what time it is."""

    def __init__(self, seed: int) -> None:
        # As text: of a number the sign would not count.
        self.random = random.Random(str(seed))
        self.now = 0.0
        self.outside = Process('outside')
        self.current = Task('script', self.outside, None)
        self.current.begun = True
        #: What tasks ended with that should not have.
        self.broken: list[tuple[Task, BaseException]] = []
        self._script = self.current
        self._ready: list[Task] = []
        self._dying: list[Task] = []
        self._timers: list[tuple[float, int, Any, int]] = []
        self._numbers = itertools.count()
        self._stuck = False
        #: Nobody else runs while this is positive.
        self.alone = 0

    # -- tasks ---------------------------------------------------------------

    def spawn(
        self, name: str, process: Process, fn: Callable[[], object]
    ) -> Task:
        """Let ``fn()`` run as a task of a process."""
        task = Task(name, process, fn)
        process.tasks[task] = None
        self._ready.append(task)
        return task

    def carry(self, task: Task) -> None:
        """Run a task to its end; for carriers."""
        assert task.fn is not None
        try:
            task.fn()
        except BaseException as error:
            if not isinstance(error, Killed):
                self.broken.append((task, error))
        self._end(task)

    def _end(self, task: Task) -> None:
        task.ended = True
        task.process.tasks.pop(task, None)
        for waiter in task.joiners:
            self.wake(waiter)

    def leave(self) -> None:
        """Let somebody else run, never to come back; for carriers."""
        self._start(self._next())

    def kill(self, process: Process) -> None:
        """Let a process be gone; its threads end where they wait."""
        process.dead = True
        process.paused = False
        for task in list(process.tasks):
            if task is self.current:
                continue
            if task in self._ready:
                self._ready.remove(task)
            task.turn += 1
            task.waiting = False
            if task.begun:
                self._dying.append(task)
            else:
                self._end(task)

    # -- waiting -------------------------------------------------------------

    def check(self) -> None:
        """Raise Killed in a task whose process is gone."""
        if self.current.process.dead:
            raise Killed

    def may_switch(self) -> None:
        """Let another one go on here, or not, as it is drawn."""
        self.check()
        if self.alone or not self._ready:
            return
        if self.random.random() < _EAGERNESS:
            self._ready.append(self.current)
            self._switch()

    def wait(self, seconds: float | None, turn: int | None = None) -> bool:
        """Wait to be woken, at most so long; tell whether one was woken.

        ``turn`` is of the waiter that was made for it, if one was.
        """
        self.check()
        if self.alone:
            raise AssertionError(f'{self.current.name} waits while alone')
        task = self.current
        if turn is None:
            turn = self.waiter()[1]
        if seconds is not None:
            self._at(self.now + max(seconds, 0.0), task, turn)
        task.waiting = True
        task.timed_out = False
        self._switch()
        return not task.timed_out

    def waiter(self) -> Waiter:
        """Return what wakes the current task from its next wait."""
        task = self.current
        task.turn += 1
        return task, task.turn

    def join(self, task: Task, seconds: float | None = None) -> None:
        """Wait for the end of a task, at most so long."""
        self.check()
        if not task.ended:
            waiter = self.waiter()
            task.joiners.append(waiter)
            self.wait(seconds, waiter[1])

    def wake(self, waiter: Waiter) -> bool:
        """Let one that waits go on; False when it does not any more."""
        task, turn = waiter
        if task.turn != turn or not task.waiting:
            return False
        task.waiting = False
        self._ready.append(task)
        return True

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Have something done later by nobody; it must not wait."""
        self._at(self.now + seconds, call, 0)

    def _at(self, due: float, what: Any, turn: int) -> None:
        heapq.heappush(self._timers, (due, next(self._numbers), what, turn))

    def drain(self) -> None:
        """Let all tasks of killed processes end; nobody else runs."""
        while self._dying:
            self._ready = [self.current]
            self._switch()

    # -- handing over --------------------------------------------------------

    def _switch(self) -> None:
        me, chosen = self.current, self._next()
        if chosen is not me:
            self._start(chosen)
            me.gate.acquire()
        if me is self._script and self._stuck:
            self._stuck = False
            raise Stuck('everybody waits for something that nobody will do')
        self.check()

    def _start(self, task: Task) -> None:
        self.current = task
        if task.begun:
            task.gate.release()
            return
        task.begun = True
        carrier = _idle.pop() if _idle else _Carrier('simulated')
        carrier.task, carrier.scheduler = task, self
        carrier.gate.release()

    def _next(self) -> Task:
        while True:
            if self._dying:
                return self._dying.pop()
            able = self._ready
            if any(task.process.paused for task in able):
                able = [task for task in able if not task.process.paused]
            if able:
                number = 0
                if len(able) > 1:
                    number = int(self.random.random() * len(able))
                chosen = able[number]
                self._ready.remove(chosen)
                return chosen
            if not self._timers:
                return self._give_up()
            self._let_time_pass()

    def _let_time_pass(self) -> None:
        due, _, what, turn = heapq.heappop(self._timers)
        if isinstance(what, Task):
            if what.turn != turn or not what.waiting:
                return
            self.now = max(self.now, due)
            what.waiting = False
            what.timed_out = True
            self._ready.append(what)
        else:
            self.now = max(self.now, due)
            what()

    def _give_up(self) -> Task:
        """Let the script know that nothing will ever happen again."""
        self._stuck = True
        script = self._script
        script.turn += 1
        script.waiting = False
        return script
