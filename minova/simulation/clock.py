# SPDX-License-Identifier: Apache-2.0
"""The virtual clock of a simulation: time, events, locks and pools."""

import collections
from collections.abc import Callable
from concurrent import futures
import datetime
import types
from typing import ParamSpec
from typing import TypeVar
import uuid

from minova import clock
from minova.simulation.scheduler import Scheduler
from minova.simulation.scheduler import Task
from minova.simulation.scheduler import Waiter

P = ParamSpec('P')
T = TypeVar('T')

#: The time at which every simulation begins.
EPOCH = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)


class Event:
    """A flag to wait for."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._flag = False
        self._waiters: list[Waiter] = []

    def is_set(self) -> bool:
        """Tell whether the flag is set."""
        return self._flag

    def set(self) -> None:
        """Set the flag and wake all waiting tasks."""
        self._flag = True
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            self._scheduler.wake(waiter)

    def clear(self) -> None:
        """Clear the flag."""
        self._flag = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait at most ``timeout`` seconds; tell whether the flag is set."""
        self._scheduler.raise_if_killed()
        if self._flag:
            return True
        waiter = self._scheduler.waiter()
        self._waiters.append(waiter)
        return self._scheduler.wait(timeout, waiter[1])


class Lock:
    """A lock, granted in the order of the waiting tasks."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._held = False
        self._waiters: collections.deque[Waiter] = collections.deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Acquire the lock; tell whether it was acquired."""
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
        """Release the lock."""
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
    """A task behind the interface of a thread."""

    def __init__(self, scheduler: Scheduler, task: Task) -> None:
        self._scheduler = scheduler
        self._task = task

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, at most ``timeout`` seconds."""
        self._scheduler.join(self._task, timeout)

    def is_alive(self) -> bool:
        """Tell whether it is running."""
        return not self._task.is_ended


class Pool:
    """A pool of at most ``size`` workers, which exist while there is work."""

    def __init__(self, scheduler: Scheduler, name: str, size: int) -> None:
        self._scheduler = scheduler
        self._name = name
        self._size = size
        self._jobs: collections.deque[Callable[[], None]] = collections.deque()
        self._workers: dict[Task, None] = {}
        self._closed = False

    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> 'futures.Future[T]':
        """Call ``fn`` when a worker is free."""
        if self._closed:
            raise RuntimeError(f'the pool {self._name} is shut down')
        future: futures.Future[T] = futures.Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
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
        """Accept no more calls; with ``wait``, finish the accepted ones."""
        self._closed = True
        while wait and self._workers:
            self._scheduler.join(next(iter(self._workers)))


class SimulatedClock(clock.Clock):
    """Virtual time, tasks instead of threads, ids from the seed."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def now(self) -> datetime.datetime:
        """Return the time of the current task's machine, with its skew."""
        skew = self._scheduler.current.process.skew
        return EPOCH + datetime.timedelta(seconds=self._scheduler.now + skew)

    def monotonic(self) -> float:
        """Return the virtual seconds since the begin of the simulation."""
        return self._scheduler.now

    def sleep(self, seconds: float) -> None:
        """Sleep for ``seconds`` of virtual time."""
        self._scheduler.wait(seconds)

    def uuid4(self) -> str:
        """Return an id drawn from the seed."""
        bits = self._scheduler.random.getrandbits(128)
        return str(uuid.UUID(int=bits, version=4))

    def uniform(self, low: float, high: float) -> float:
        """Return a number from ``low`` to ``high`` drawn from the seed."""
        return self._scheduler.random.uniform(low, high)

    def event(self) -> clock.Event:
        """Return a cleared event."""
        return Event(self._scheduler)

    def lock(self) -> clock.Lock:
        """Return a free lock."""
        return Lock(self._scheduler)

    def spawn(
        self,
        name: str,
        fn: Callable[P, None],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> clock.Thread:
        """Call ``fn`` in a task of the current process."""
        process = self._scheduler.current.process
        task = self._scheduler.spawn(
            name, process, lambda: fn(*args, **kwargs)
        )
        return Thread(self._scheduler, task)

    def pool(self, name: str, size: int) -> clock.Pool:
        """Return a pool of ``size`` workers of the current process."""
        return Pool(self._scheduler, name, size)
