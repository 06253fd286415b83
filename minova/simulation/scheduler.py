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
_SWITCH_PROBABILITY = 0.5


class ProcessKilled(BaseException):
    """The process that this task belongs to is gone.

    No Exception: what is written to go on after errors does not go on.
    """


class Deadlock(AssertionError):
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
        self.semaphore = threading.Lock()
        self.semaphore.acquire()
        self.is_started = False
        #: Grows with each wait, so that what was to end an older one is void.
        self.wait_id = 0
        self.waiting = False
        self.timed_out = False
        self.is_ended = False
        self.joiners: list[tuple[Task, int]] = []


Waiter: TypeAlias = tuple[Task, int]


class _WorkerThread:
    """An operating system's thread, which carries one task after another."""

    def __init__(self, name: str) -> None:
        self.semaphore = threading.Lock()
        self.semaphore.acquire()
        self.task: Task | None = None
        self.scheduler: Scheduler | None = None
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        while True:
            self.semaphore.acquire()
            task, scheduler = self.task, self.scheduler
            assert task is not None and scheduler is not None
            try:
                scheduler.run_task(task)
            finally:
                self.task = self.scheduler = None
                _idle_threads.append(self)
                scheduler.end_thread()


#: Carriers without a task; they serve every simulation of the process.
_idle_threads: list[_WorkerThread] = []


class Scheduler:
    """Decides who runs, and what time it is."""

    def __init__(self, seed: int) -> None:
        # As text: of a number the sign would not count.
        self.random = random.Random(str(seed))
        self.now = 0.0
        self.external = Process('outside')
        self.current = Task('script', self.external, None)
        self.current.is_started = True
        #: What tasks ended with that should not have.
        self.failed_tasks: list[tuple[Task, BaseException]] = []
        self._script = self.current
        self._ready: list[Task] = []
        self._dying: list[Task] = []
        self._timers: list[tuple[float, int, Any, int]] = []
        self._numbers = itertools.count()
        self._is_deadlocked = False
        #: Nobody else runs while this is positive.
        self.exclusive_depth = 0

    # -- tasks ---------------------------------------------------------------

    def spawn(
        self, name: str, process: Process, fn: Callable[[], object]
    ) -> Task:
        """Let ``fn()`` run as a task of a process."""
        task = Task(name, process, fn)
        process.tasks[task] = None
        self._ready.append(task)
        return task

    def run_task(self, task: Task) -> None:
        """Run a task to its end; for carriers."""
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

    def end_thread(self) -> None:
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
            task.wait_id += 1
            task.waiting = False
            if task.is_started:
                self._dying.append(task)
            else:
                self._end(task)

    # -- waiting -------------------------------------------------------------

    def raise_if_killed(self) -> None:
        """Raise Killed in a task whose process is gone."""
        if self.current.process.dead:
            raise ProcessKilled

    def maybe_switch(self) -> None:
        """Let another one go on here, or not, as it is drawn."""
        self.raise_if_killed()
        if self.exclusive_depth or not self._ready:
            return
        if self.random.random() < _SWITCH_PROBABILITY:
            self._ready.append(self.current)
            self._switch()

    def wait(self, seconds: float | None, wait_id: int | None = None) -> bool:
        """Wait to be woken, at most so long; tell whether one was woken.

        ``turn`` is of the waiter that was made for it, if one was.
        """
        self.raise_if_killed()
        if self.exclusive_depth:
            raise AssertionError(f'{self.current.name} waits while alone')
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
        """Return what wakes the current task from its next wait."""
        task = self.current
        task.wait_id += 1
        return task, task.wait_id

    def join(self, task: Task, seconds: float | None = None) -> None:
        """Wait for the end of a task, at most so long."""
        self.raise_if_killed()
        if not task.is_ended:
            waiter = self.waiter()
            task.joiners.append(waiter)
            self.wait(seconds, waiter[1])

    def wake(self, waiter: Waiter) -> bool:
        """Let one that waits go on; False when it does not any more."""
        task, turn = waiter
        if task.wait_id != turn or not task.waiting:
            return False
        task.waiting = False
        self._ready.append(task)
        return True

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        """Have something done later by nobody; it must not wait."""
        self._schedule(self.now + seconds, call, 0)

    def _schedule(self, due: float, what: Any, wait_id: int) -> None:
        heapq.heappush(self._timers, (due, next(self._numbers), what, wait_id))

    def end_killed(self) -> None:
        """Let all tasks of killed processes end; nobody else runs."""
        while self._dying:
            self._ready = [self.current]
            self._switch()

    # -- handing over --------------------------------------------------------

    def _switch(self) -> None:
        me, chosen = self.current, self._next()
        if chosen is not me:
            self._start(chosen)
            me.semaphore.acquire()
        if me is self._script and self._is_deadlocked:
            self._is_deadlocked = False
            raise Deadlock('everybody waits for something that nobody will do')
        self.raise_if_killed()

    def _start(self, task: Task) -> None:
        self.current = task
        if task.is_started:
            task.semaphore.release()
            return
        task.is_started = True
        carrier = (
            _idle_threads.pop()
            if _idle_threads
            else _WorkerThread('simulated')
        )
        carrier.task, carrier.scheduler = task, self
        carrier.semaphore.release()

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
                return self._report_deadlock()
            self._advance_time()

    def _advance_time(self) -> None:
        due, _, what, turn = heapq.heappop(self._timers)
        if isinstance(what, Task):
            if what.wait_id != turn or not what.waiting:
                return
            self.now = max(self.now, due)
            what.waiting = False
            what.timed_out = True
            self._ready.append(what)
        else:
            self.now = max(self.now, due)
            what()

    def _report_deadlock(self) -> Task:
        """Let the script know that nothing will ever happen again."""
        self._is_deadlocked = True
        script = self._script
        script.wait_id += 1
        script.waiting = False
        return script
