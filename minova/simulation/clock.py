# SPDX-License-Identifier: Apache-2.0
"""The clock that the services ask in a simulation: all of it is virtual."""

import collections
from collections.abc import Callable
from concurrent import futures
import datetime
import types
from typing import Any
import uuid

from minova import clock
from minova.simulation.scheduler import Scheduler
from minova.simulation.scheduler import Task
from minova.simulation.scheduler import Waiter

#: When every simulation begins.
EPOCH = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)


class Event:
    """A flag to wait for."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._flag = False
        self._waiters: list[Waiter] = []

    def is_set(self) -> bool:
        """Tell whether the flag is up."""
        return self._flag

    def set(self) -> None:
        """Raise the flag and wake all who wait."""
        self._flag = True
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            self._scheduler.wake(waiter)

    def clear(self) -> None:
        """Lower the flag."""
        self._flag = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the flag, at most ``timeout`` seconds; tell if it is up."""
        self._scheduler.raise_if_killed()
        if self._flag:
            return True
        waiter = self._scheduler.waiter()
        self._waiters.append(waiter)
        return self._scheduler.wait(timeout, waiter[1])


class Lock:
    """A lock, given to those who wait in the order they came."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._held = False
        self._waiters: collections.deque[Waiter] = collections.deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock; tell whether it was taken."""
        self._scheduler.raise_if_killed()
        while self._held:
            if not blocking:
                return False
            waiter = self._scheduler.waiter()
            self._waiters.append(waiter)
            limit = None if timeout < 0 else timeout
            if not self._scheduler.wait(limit, waiter[1]):
                return False
        self._held = True
        return True

    def release(self) -> None:
        """Give the lock back."""
        self._held = False
        while self._waiters:
            if self._scheduler.wake(self._waiters.popleft()):
                return

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self.release()


class Thread:
    """A task as those see it who wait for its end."""

    def __init__(self, scheduler: Scheduler, task: Task) -> None:
        self._scheduler = scheduler
        self._task = task

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, at most ``timeout`` seconds."""
        self._scheduler.join(self._task, timeout)

    def is_alive(self) -> bool:
        """Tell whether it still runs."""
        return not self._task.is_ended


class Pool:
    """Workers of a bounded number, made when there is work."""

    def __init__(self, scheduler: Scheduler, name: str, size: int) -> None:
        self._scheduler = scheduler
        self._name = name
        self._size = size
        self._jobs: collections.deque[Callable[[], None]] = collections.deque()
        self._workers: dict[Task, None] = {}
        self._closed = False

    def submit(
        self, fn: Callable[..., Any], /, *args: Any
    ) -> 'futures.Future[Any]':
        """Run ``fn(*args)`` when a worker is free."""
        if self._closed:
            raise RuntimeError(f'{self._name} takes no more work')
        future: futures.Future[Any] = futures.Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args))
            except Exception as error:
                future.set_exception(error)

        self._jobs.append(job)
        if len(self._workers) < self._size:
            task = self._scheduler.spawn(
                self._name, self._scheduler.current.process, self._work
            )
            self._workers[task] = None
        return future

    def _work(self) -> None:
        me = self._scheduler.current
        try:
            while self._jobs:
                self._jobs.popleft()()
        finally:
            self._workers.pop(me, None)

    def shutdown(self, wait: bool = True) -> None:
        """Take no more work; with ``wait``, finish what was taken."""
        self._closed = True
        while wait and self._workers:
            self._scheduler.join(next(iter(self._workers)))


class SimulatedClock(clock.Clock):
    """Virtual time, tasks for threads, ids from the seed."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def now(self) -> datetime.datetime:
        """Return the time of day as the current task's machine has it."""
        skew = self._scheduler.current.process.skew
        return EPOCH + datetime.timedelta(seconds=self._scheduler.now + skew)

    def monotonic(self) -> float:
        """Return the seconds since the simulation began."""
        return self._scheduler.now

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        self._scheduler.wait(seconds)

    def uuid4(self) -> str:
        """Return an id drawn from the seed."""
        bits = self._scheduler.random.getrandbits(128)
        return str(uuid.UUID(int=bits, version=4))

    def uniform(self, low: float, high: float) -> float:
        """Draw a number between the two from the seed."""
        return self._scheduler.random.uniform(low, high)

    def event(self) -> clock.Event:
        """Return a lowered flag."""
        return Event(self._scheduler)

    def lock(self) -> clock.Lock:
        """Return a free lock."""
        return Lock(self._scheduler)

    def spawn(
        self, name: str, fn: Callable[..., None], *args: Any
    ) -> clock.Thread:
        """Run ``fn(*args)`` as a task of the current process."""
        process = self._scheduler.current.process
        task = self._scheduler.spawn(name, process, lambda: fn(*args))
        return Thread(self._scheduler, task)

    def pool(self, name: str, size: int) -> clock.Pool:
        """Return ``size`` workers of the current process."""
        return Pool(self._scheduler, name, size)
