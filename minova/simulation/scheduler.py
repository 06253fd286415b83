# SPDX-License-Identifier: Apache-2.0
"""The scheduler: one task runs at a time, in virtual time.

Each task is a greenlet: it has a stack of its own, so that the services run
unchanged, and all tasks share one thread, so that the whole simulation can be
forked (``minova.simulation.forks``). A task runs until it waits or passes a
point where another may run. The seed decides which task is next. Virtual time
advances only when every task waits: it jumps to the next timer.
"""

from collections.abc import Callable
import heapq
import itertools
import random
from typing import TypeAlias

import greenlet

#: The probability of a switch at a point where another task may run.
_SWITCH_PROBABILITY = 0.5


class ProcessKilled(BaseException):
    """The process of the current task is killed.

    Not an Exception, so that no error handler of a service catches it.
    """


class Deadlock(AssertionError):
    """Every task waits and no timer is due."""


class Process:
    """The tasks that a kill ends together: a service, or the test script."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.paused = False
        #: The error of its machine's clock in seconds.
        self.skew = 0.0
        self.tasks: dict[Task, None] = {}


class Task:
    """What a service runs as a thread."""

    def __init__(
        self, name: str, process: Process, fn: Callable[[], object] | None
    ) -> None:
        self.name = name
        self.process = process
        self.fn = fn
        #: None until the task starts.
        self.greenlet: greenlet.greenlet | None = None
        #: Grows with each wait; a timer or waker of an older wait is void.
        self.wait_id = 0
        self.waiting = False
        self.timed_out = False
        self.is_ended = False
        self.joiners: list[tuple[Task, int]] = []


Waiter: TypeAlias = tuple[Task, int]
#: What a timer does: end the wait of a task, or call a function.
_TimerTarget: TypeAlias = Task | Callable[[], None]


class _Worker(greenlet.greenlet):
    """A greenlet that runs one task after another."""

    task: Task
    scheduler: 'Scheduler'

    def run(self) -> None:
        """Run the task, then let another run, until there is a new one."""
        while True:
            self.scheduler.run_task(self.task)
            _idle_workers.append(self)
            self.scheduler.end_worker()


#: Workers without a task; every simulation of the process uses them.
_idle_workers: list[_Worker] = []


class Scheduler:
    """Decides which task runs, and keeps the virtual time."""

    def __init__(self, seed: int) -> None:
        # As text, because Random ignores the sign of a number.
        self.random = random.Random(str(seed))
        self.now = 0.0
        self.external = Process('outside')
        self.current = Task('script', self.external, None)
        self.current.greenlet = greenlet.getcurrent()
        #: The tasks that ended with an error.
        self.failed_tasks: list[tuple[Task, BaseException]] = []
        self._script = self.current
        self._ready: list[Task] = []
        self._dying: list[Task] = []
        self._timers: list[tuple[float, int, _TimerTarget, int]] = []
        self._numbers = itertools.count()
        self._is_deadlocked = False
        #: No other task runs while this is positive.
        self.exclusive_depth = 0

    # -- tasks ---------------------------------------------------------------

    def spawn(
        self, name: str, process: Process, fn: Callable[[], object]
    ) -> Task:
        """Run ``fn()`` as a task of a process."""
        task = Task(name, process, fn)
        process.tasks[task] = None
        self._ready.append(task)
        return task

    def run_task(self, task: Task) -> None:
        """Run a task to its end; for workers."""
        assert task.fn is not None
        try:
            task.fn()
        except BaseException as error:
            if not isinstance(error, ProcessKilled):
                self.failed_tasks.append((task, error))
        self._end(task)

    def _end(self, task: Task) -> None:
        task.is_ended = True
        task.process.tasks.pop(task, None)
        for waiter in task.joiners:
            self.wake(waiter)

    def end_worker(self) -> None:
        """Run the next task at the end of one; for workers."""
        self._run(self._next())

    def kill(self, process: Process) -> None:
        """Kill a process; each of its tasks ends at the point of its wait."""
        process.dead = True
        process.paused = False
        for task in list(process.tasks):
            if task is self.current:
                continue
            if task in self._ready:
                self._ready.remove(task)
            task.wait_id += 1
            task.waiting = False
            if task.greenlet is not None:
                self._dying.append(task)
            else:
                self._end(task)

    # -- waiting -------------------------------------------------------------

    def raise_if_killed(self) -> None:
        """Raise ProcessKilled in a task of a killed process."""
        if self.current.process.dead:
            raise ProcessKilled

    def maybe_switch(self) -> None:
        """Switch to another task, or not, as drawn from the seed."""
        self.raise_if_killed()
        if self.exclusive_depth or not self._ready:
            return
        if self.random.random() < _SWITCH_PROBABILITY:
            self._ready.append(self.current)
            self._switch()

    def wait(self, seconds: float | None, wait_id: int | None = None) -> bool:
        """Wait for a wake-up, at most ``seconds``; tell whether it came.

        ``wait_id`` is that of the waiter created for this wait, if any.
        """
        self.raise_if_killed()
        if self.exclusive_depth:
            raise AssertionError(
                f'{self.current.name} waits inside an exclusive section'
            )
        task = self.current
        if wait_id is None:
            wait_id = self.waiter()[1]
        if seconds is not None:
            self._schedule(self.now + max(seconds, 0.0), task, wait_id)
        task.waiting = True
        task.timed_out = False
        self._switch()
        return not task.timed_out

    def waiter(self) -> Waiter:
        """Return the waiter that wakes the current task's next wait."""
        task = self.current
        task.wait_id += 1
        return task, task.wait_id

    def join(self, task: Task, seconds: float | None = None) -> None:
        """Wait for the end of a task, at most ``seconds``."""
        self.raise_if_killed()
        if not task.is_ended:
            waiter = self.waiter()
            task.joiners.append(waiter)
            self.wait(seconds, waiter[1])

    def wake(self, waiter: Waiter) -> bool:
        """Wake a waiting task; False if its wait has ended."""
        task, wait_id = waiter
        if task.wait_id != wait_id or not task.waiting:
            return False
        task.waiting = False
        self._ready.append(task)
        return True

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call a function outside of every task later; it must not wait."""
        self._schedule(self.now + seconds, call, 0)

    def _schedule(
        self, due: float, what: '_TimerTarget', wait_id: int
    ) -> None:
        heapq.heappush(self._timers, (due, next(self._numbers), what, wait_id))

    def end_killed(self) -> None:
        """Run all tasks of killed processes to their end, and no others."""
        while self._dying:
            self._ready = [self.current]
            self._switch()

    # -- switches ------------------------------------------------------------

    def _switch(self) -> None:
        me, chosen = self.current, self._next()
        if chosen is not me:
            self._run(chosen)
        if me is self._script and self._is_deadlocked:
            self._is_deadlocked = False
            raise Deadlock('every task waits and no timer is due')
        self.raise_if_killed()

    def _run(self, task: Task) -> None:
        """Run a task; return when the current greenlet's turn comes again."""
        self.current = task
        if task.greenlet is None:
            worker = _idle_workers.pop() if _idle_workers else _Worker()
            worker.task, worker.scheduler = task, self
            # An error of the scheduler ends the script.
            worker.parent = self._script.greenlet
            task.greenlet = worker
        task.greenlet.switch()

    def _next(self) -> Task:
        while True:
            if self._dying:
                return self._dying.pop()
            runnable = self._ready
            if any(task.process.paused for task in runnable):
                runnable = [
                    task for task in runnable if not task.process.paused
                ]
            if runnable:
                number = 0
                if len(runnable) > 1:
                    number = int(self.random.random() * len(runnable))
                chosen = runnable[number]
                self._ready.remove(chosen)
                return chosen
            if not self._timers:
                return self._report_deadlock()
            self._advance_time()

    def _advance_time(self) -> None:
        due, _, what, wait_id = heapq.heappop(self._timers)
        if isinstance(what, Task):
            if what.wait_id != wait_id or not what.waiting:
                return
            self.now = max(self.now, due)
            what.waiting = False
            what.timed_out = True
            self._ready.append(what)
        else:
            self.now = max(self.now, due)
            what()

    def _report_deadlock(self) -> Task:
        """Wake the script, which raises Deadlock."""
        self._is_deadlocked = True
        script = self._script
        script.wait_id += 1
        script.waiting = False
        return script
