# SPDX-License-Identifier: Apache-2.0
"""Time, threads, locks and ids: the seam that a simulator replaces.

Nothing else in Minova calls ``time.sleep``, ``time.time``, ``uuid.uuid4`` or
``threading.Thread`` (a test walks the code for them). Whoever needs one of
them asks here, and so runs unchanged under a virtual clock.
"""

from collections.abc import Callable
from concurrent import futures
import datetime
import random
import threading
import time
import types
from typing import Any
from typing import Protocol
import uuid


class Event(Protocol):
    """A flag to wait for, as threading.Event."""

    def is_set(self) -> bool:
        """Tell whether the flag is up."""

    def set(self) -> None:
        """Raise the flag and wake all who wait."""

    def clear(self) -> None:
        """Lower the flag."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the flag, at most ``timeout`` seconds; tell if it is up."""


class Lock(Protocol):
    """A lock that may be held across a message or a sleep."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock; tell whether it was taken."""

    def release(self) -> None:
        """Give the lock back."""

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
        """Tell whether it still runs."""


class Pool(Protocol):
    """Workers of a bounded number."""

    def submit(
        self, fn: Callable[..., Any], /, *args: Any
    ) -> 'futures.Future[Any]':
        """Run ``fn(*args)`` when a worker is free."""

    def shutdown(self, wait: bool = True) -> None:
        """Take no more work; with ``wait``, finish what was taken."""


class Clock:
    """The real thing: the machine's time and threads."""

    def now(self) -> datetime.datetime:
        """Return the time of day, aware, in UTC."""
        return datetime.datetime.now(datetime.UTC)

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        time.sleep(seconds)

    def uuid4(self) -> str:
        """Return a new random id."""
        return str(uuid.uuid4())

    def uniform(self, low: float, high: float) -> float:
        """Return any number between the two."""
        return random.uniform(low, high)

    def event(self) -> Event:
        """Return a lowered flag."""
        return threading.Event()

    def lock(self) -> Lock:
        """Return a free lock."""
        return threading.Lock()

    def spawn(self, name: str, fn: Callable[..., None], *args: Any) -> Thread:
        """Run ``fn(*args)`` beside the caller, in a daemon thread."""
        thread = threading.Thread(target=fn, args=args, name=name, daemon=True)
        thread.start()
        return thread

    def pool(self, name: str, size: int) -> Pool:
        """Return ``size`` workers."""
        return futures.ThreadPoolExecutor(size, thread_name_prefix=name)


_clock = Clock()
#: What ``now`` adds to the machine's time of day.
_offset = datetime.timedelta(0)


def install(clock: Clock) -> Clock:
    """Make ``clock`` the one everybody asks; return the one before."""
    global _clock, _offset
    before, _clock = _clock, clock
    _offset = datetime.timedelta(0)
    return before


def set_offset(offset: datetime.timedelta) -> None:
    """Count the time of day by a clock that is ahead of this machine's.

    So that services whose machines' clocks differ have one time of day, the
    database's (``db/daytime.py``).
    """
    global _offset
    _offset = offset


def offset() -> datetime.timedelta:
    """Return how far ``now`` is ahead of this machine's clock."""
    return _offset


def now() -> datetime.datetime:
    """Return the time of day, aware, in UTC."""
    return _clock.now() + _offset


def monotonic() -> float:
    """Return seconds since some fixed moment; never goes back."""
    return _clock.monotonic()


def sleep(seconds: float) -> None:
    """Let ``seconds`` pass."""
    _clock.sleep(seconds)


def uuid4() -> str:
    """Return a new random id."""
    return _clock.uuid4()


def uniform(low: float, high: float) -> float:
    """Return any number between the two."""
    return _clock.uniform(low, high)


def event() -> Event:
    """Return a lowered flag."""
    return _clock.event()


def lock() -> Lock:
    """Return a free lock."""
    return _clock.lock()


def spawn(name: str, fn: Callable[..., None], *args: Any) -> Thread:
    """Run ``fn(*args)`` beside the caller, in a daemon thread."""
    return _clock.spawn(name, fn, *args)


def pool(name: str, size: int) -> Pool:
    """Return ``size`` workers that share the work submitted to them."""
    return _clock.pool(name, size)
