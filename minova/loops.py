# SPDX-License-Identifier: Apache-2.0
"""Loops that must not end, and the health check that notices one that did.

Every thread that accepts connections, polls, relays or sweeps is a ``Loop``:
an error is logged and the loop continues after a back-off. A thread can still
end, for example by ``SystemExit``. The health check of a service finds it and
ends the process, which its supervisor starts again. A loop whose turns are
short by design has a limit of a turn: while one lasts longer, the process is
not reported as healthy, and the watchdog of systemd ends it.
"""

from collections.abc import Callable
import os
from typing import Final
import weakref

from oslo_log import log as logging

from minova import clock
from minova import exception

LOG = logging.getLogger(__name__)

#: The first and the longest delay, in seconds, after a turn that failed.
BACK_OFF: Final = (0.1, 10.0)
#: Seconds between two health checks.
_CHECK_INTERVAL: Final = 5.0
#: The age, in seconds, from which the last health check is overdue.
MAX_CHECK_AGE: Final = 3 * _CHECK_INTERVAL
#: Seconds for a turn of a loop that never waits for anything else than events.
TURN_LIMIT: Final = 60.0

_guard = clock.lock()
#: The loops that were started; a loop without an owner leaves by itself.
_started: weakref.WeakSet['Loop'] = weakref.WeakSet()
# A process that is forked has no thread of its parent.
os.register_at_fork(after_in_child=_started.clear)


class Loop:
    """A thread that calls ``turn`` until ``stop``.

    A turn that raises is logged, a MinovaException and an OSError as one line,
    and delays the next one. The delay doubles with each failure in a row.
    """

    def __init__(
        self,
        name: str,
        turn: Callable[[], object],
        wake: Callable[[], object] | None = None,
        turn_limit: float | None = None,
    ) -> None:
        """``wake`` ends the wait of a turn, for ``stop``.

        A loop with a ``turn_limit``, in seconds, is stuck when a turn lasts
        longer.
        """
        self.name = name
        self._turn = turn
        self._wake = wake
        self._turn_limit = turn_limit
        self._turn_began = 0.0
        self._stopped = clock.event()
        self._pause = BACK_OFF[0]
        self._thread: clock.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread = None
        self._stopped.clear()
        self._turn_began = clock.monotonic()
        self._thread = clock.spawn(self.name, self.run)
        with _guard:
            _started.add(self)

    def stop(self) -> None:
        """End the loop after the turn in progress; wait for the end."""
        self._stopped.set()
        if self._wake is not None:
            self._wake()
        if self._thread is not None:
            self._thread.join()

    @property
    def is_stopping(self) -> bool:
        """Whether ``stop`` was called."""
        return self._stopped.is_set()

    @property
    def is_dead(self) -> bool:
        """Whether the thread has ended although ``stop`` was not called."""
        thread = self._thread
        return (
            thread is not None
            and not self._stopped.is_set()
            and not thread.is_alive()
        )

    @property
    def is_stuck(self) -> bool:
        """Whether a turn lasts longer than its limit."""
        return (
            self._turn_limit is not None
            and self._thread is not None
            and not self._stopped.is_set()
            and clock.monotonic() - self._turn_began > self._turn_limit
        )

    def run(self) -> None:
        """Run in the calling thread, until another one calls ``stop``."""
        while not self._stopped.is_set():
            self._turn_began = clock.monotonic()
            try:
                self._turn()
            except Exception as error:
                if not self._stopped.is_set():
                    self._log(error)
                    self._stopped.wait(self._pause)
                    self._pause = min(2 * self._pause, BACK_OFF[1])
            else:
                self._pause = BACK_OFF[0]

    def _log(self, error: Exception) -> None:
        if isinstance(error, exception.MinovaException | OSError):
            LOG.warning(
                'Loop %s failed; retrying in %g s: %s',
                self.name,
                self._pause,
                _describe(error),
            )
        else:
            LOG.error(
                'Loop %s failed unexpectedly; retrying in %g s',
                self.name,
                self._pause,
                exc_info=error,
            )


def _describe(error: Exception) -> str:
    """Return the text of an error, or its class if that has no text."""
    try:
        return str(error)
    except Exception as unprintable:
        return f'{type(error).__name__}, without a text: {unprintable!r}'


def find_dead() -> list[str]:
    """Return the names of the loops whose thread has ended by itself."""
    with _guard:
        return sorted(loop.name for loop in _started if loop.is_dead)


def find_stuck() -> list[str]:
    """Return the names of the loops whose turn lasts too long."""
    with _guard:
        return sorted(loop.name for loop in _started if loop.is_stuck)


def watch(
    on_fatal: Callable[[str], object],
    on_healthy: Callable[[], object] | None = None,
) -> Loop:
    """Start the health check of this process; return its loop.

    It calls ``on_fatal``, which ends the process, with the names of the loops
    whose thread has ended, and ``on_healthy`` when all loops live and none is
    stuck.
    """

    def check() -> None:
        if check_loop.is_stopping:
            return
        if dead := find_dead():
            on_fatal(f'Health check: ended threads: {", ".join(dead)}')
        elif stuck := find_stuck():
            LOG.critical('Health check: stuck threads: %s', ', '.join(stuck))
        elif on_healthy is not None:
            on_healthy()
        waiting.wait(_CHECK_INTERVAL)

    waiting = clock.event()
    check_loop = Loop('health-check', check, waiting.set)
    check_loop.start()
    return check_loop
