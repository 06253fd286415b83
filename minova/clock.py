# SPDX-License-Identifier: Apache-2.0
"""Time, threads, locks and ids: the seam that the simulation replaces.

No other module calls ``time.sleep``, ``time.time``, ``uuid.uuid4`` or
``threading.Thread`` (a test checks the code), so that every service runs
unchanged under a virtual clock.
"""

from collections.abc import Callable
from concurrent import futures
import datetime
import random
import threading
import time
import types
from typing import ParamSpec
from typing import Protocol
from typing import TypeVar
import uuid

P = ParamSpec('P')
T = TypeVar('T')


class Event(Protocol):
    """A flag to wait for, like threading.Event."""

    def is_set(self) -> bool:
        """Tell whether the flag is set."""

    def set(self) -> None:
        """Set the flag and wake all waiting threads."""

    def clear(self) -> None:
        """Clear the flag."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait at most ``timeout`` seconds; tell whether the flag is set."""


class Lock(Protocol):
    """A lock that may be held while a thread sends a message or sleeps."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Acquire the lock; tell whether it was acquired."""

    def release(self) -> None:
        """Release the lock."""

    def __enter__(self) -> bool: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: types.TracebackType | None,
        /,
    ) -> None: ...


class Thread(Protocol):
    """A running thread."""

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, at most ``timeout`` seconds."""

    def is_alive(self) -> bool:
        """Tell whether it is running."""


class Pool(Protocol):
    """A pool with a fixed number of workers."""

    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> 'futures.Future[T]':
        """Call ``fn`` when a worker is free."""

    def shutdown(self, wait: bool = True) -> None:
        """Accept no more calls; with ``wait``, finish the accepted ones."""


class Clock:
    """The clock and the threads of the machine."""

    def now(self) -> datetime.datetime:
        """Return the current time, aware, in UTC."""
        return datetime.datetime.now(datetime.UTC)

    def monotonic(self) -> float:
        """Return a number of seconds that never decreases."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleep for ``seconds``."""
        time.sleep(seconds)

    def uuid4(self) -> str:
        """Return a new random id."""
        return str(uuid.uuid4())

    def uniform(self, low: float, high: float) -> float:
        """Return a random number from ``low`` to ``high``."""
        return random.uniform(low, high)

    def event(self) -> Event:
        """Return a cleared event."""
        return threading.Event()

    def lock(self) -> Lock:
        """Return a free lock."""
        return threading.Lock()

    def spawn(
        self,
        name: str,
        fn: Callable[P, None],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Thread:
        """Call ``fn`` in a new daemon thread."""
        thread = threading.Thread(
            target=fn, args=args, kwargs=kwargs, name=name, daemon=True
        )
        thread.start()
        return thread

    def pool(self, name: str, size: int) -> Pool:
        """Return a pool of ``size`` workers."""
        return futures.ThreadPoolExecutor(size, thread_name_prefix=name)


_clock = Clock()
#: What ``now`` adds to the machine's time.
_offset = datetime.timedelta(0)


def install(clock: Clock) -> Clock:
    """Use ``clock`` from now on; return the previous one."""
    global _clock, _offset
    before, _clock = _clock, clock
    _offset = datetime.timedelta(0)
    return before


def set_offset(offset: datetime.timedelta) -> None:
    """Correct ``now`` by an offset to this machine's clock.

    ``db.connections.clock_offset`` sets it, so that services on machines with
    different clocks have the time of the database.
    """
    global _offset
    _offset = offset


def offset() -> datetime.timedelta:
    """Return the offset of ``now`` to this machine's clock."""
    return _offset


def now() -> datetime.datetime:
    """Return the current time, aware, in UTC."""
    return _clock.now() + _offset


def monotonic() -> float:
    """Return a number of seconds that never decreases."""
    return _clock.monotonic()


def sleep(seconds: float) -> None:
    """Sleep for ``seconds``."""
    _clock.sleep(seconds)


def uuid4() -> str:
    """Return a new random id."""
    return _clock.uuid4()


def uniform(low: float, high: float) -> float:
    """Return a random number from ``low`` to ``high``."""
    return _clock.uniform(low, high)


def event() -> Event:
    """Return a cleared event."""
    return _clock.event()


def lock() -> Lock:
    """Return a free lock."""
    return _clock.lock()


def spawn(
    name: str, fn: Callable[P, None], *args: P.args, **kwargs: P.kwargs
) -> Thread:
    """Call ``fn`` in a new daemon thread."""
    return _clock.spawn(name, fn, *args, **kwargs)


def pool(name: str, size: int) -> Pool:
    """Return a pool of ``size`` workers."""
    return _clock.pool(name, size)
