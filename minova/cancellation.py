# SPDX-License-Identifier: Apache-2.0
"""Cancellation: the waits of unwanted work end at once.

The work of a step runs in the scope of a signal. Code that waits in
``compute``, ``flows``, ``images`` or ``virt`` uses the functions of this
module, which raise the error of the signal as soon as it is set (a test checks
the code). Without a scope they wait as ``clock`` does.

=========== ==============================================================
function    for
=========== ==============================================================
wait        a poll
wait_for    an event that others wait for too
acquire     a lock that another thread may hold for long
on_cancel   a call that another thread can end: a program, a socket
call        a call that nothing can end and that may end late
check       a loop over pieces of a long computation
=========== ==============================================================
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import contextvars
from typing import TypeVar

from minova import clock

T = TypeVar('T')

#: Seconds between two checks while a thread waits for a shared event or lock.
_POLL_INTERVAL = 0.2


class Signal:
    """Whether some work must stop, and the error that it then raises."""

    def __init__(self) -> None:
        self._guard = clock.lock()
        self._event = clock.event()
        self._error: Exception | None = None
        self._callbacks: list[Callable[[], None]] = []

    def set(self, error: Exception) -> None:
        """End the waits with ``error``; a second call has no effect."""
        with self._guard:
            if self._error is not None:
                return
            self._error = error
            callbacks = list(self._callbacks)
        self._event.set()
        for callback in callbacks:
            callback()

    def check(self) -> None:
        """Raise the error if the signal is set."""
        if self._error is not None:
            raise self._error

    def wait(self, seconds: float) -> None:
        """Wait; raise the error as soon as the signal is set."""
        self._event.wait(seconds)
        self.check()

    def pause(self, seconds: float) -> None:
        """Wait at most until the signal is set."""
        self._event.wait(seconds)

    @contextlib.contextmanager
    def callback(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call ``callback``, which must not block, when the signal is set.

        Raises the error when the signal is set already.
        """
        with self._guard:
            self.check()
            self._callbacks.append(callback)
        try:
            yield
        finally:
            with self._guard:
                self._callbacks.remove(callback)


_current: contextvars.ContextVar[Signal | None] = contextvars.ContextVar(
    'cancellation', default=None
)


@contextlib.contextmanager
def scope(signal: Signal | None) -> Iterator[None]:
    """Let ``signal`` end the waits of this thread; None: nothing ends them."""
    token = _current.set(signal)
    try:
        yield
    finally:
        _current.reset(token)


def is_scoped() -> bool:
    """Tell whether a signal ends the waits of this thread."""
    return _current.get() is not None


def check() -> None:
    """Raise the error of the signal if it is set."""
    signal = _current.get()
    if signal is not None:
        signal.check()


def wait(seconds: float) -> None:
    """Wait; raise the error of the signal as soon as it is set."""
    signal = _current.get()
    if signal is None:
        clock.sleep(seconds)
    else:
        signal.wait(seconds)


def wait_for(event: clock.Event, timeout: float) -> bool:
    """Wait for an event, at most ``timeout`` seconds; tell whether it is set.

    Raises the error of the signal within a fraction of a second.
    """
    until = clock.monotonic() + timeout
    while True:
        check()
        left = max(0.0, until - clock.monotonic())
        if event.wait(min(left, _POLL_INTERVAL)):
            return True
        if left <= _POLL_INTERVAL:
            return False


@contextlib.contextmanager
def acquire(lock: clock.Lock) -> Iterator[None]:
    """Hold a lock; raise the error of the signal while it waits for it."""
    if _current.get() is None:
        lock.acquire()
    else:
        while not lock.acquire(timeout=_POLL_INTERVAL):
            check()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def on_cancel(end: Callable[[], None]) -> Iterator[None]:
    """Call ``end``, which must not block, when the signal is set.

    An error in the context becomes the error of a signal that is set.
    """
    signal = _current.get()
    if signal is None:
        yield
        return
    with signal.callback(end):
        try:
            yield
        except Exception:
            signal.check()
            raise


def call(name: str, function: Callable[[], T]) -> T:
    """Return the result of ``function``, or raise its error.

    When the signal is set, its error is raised at once and ``function`` runs
    on in its thread, so its late effect must be harmless.
    """
    signal = _current.get()
    if signal is None:
        return function()
    results: list[T] = []
    errors: list[BaseException] = []
    ended = clock.event()

    def run() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)
        finally:
            ended.set()

    with signal.callback(ended.set):
        clock.spawn(name, run)
        ended.wait()
    if results:
        return results[0]
    if errors:
        raise errors[0]
    signal.check()
    raise AssertionError(f'{name} has neither ended nor been cancelled')
