# SPDX-License-Identifier: Apache-2.0
"""Periodic tasks, each in a loop of its own."""

from collections.abc import Callable
from typing import Final

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.loops import Loop

LOG = logging.getLogger(__name__)

#: The longest delay, in seconds, between a failure and the next call.
_RETRY_SECONDS: Final = 60.0


class PeriodicTask:
    """Calls ``work`` every ``interval()`` seconds and at each wake-up.

    An error of ``work`` is logged, a MinovaException as one line, and the task
    continues, after at most a minute: only ``stop`` ends it.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], object],
        interval: Callable[[], float],
    ) -> None:
        self._name = name
        self._work = work
        self._interval = interval
        self._wake_event = clock.event()
        self._loop = Loop(name, self._turn, self._wake_event.set)

    def start(self) -> None:
        """Start the task; the first call is immediate."""
        self._loop.start()

    def wake(self) -> None:
        """Call ``work`` again as soon as no call is in progress."""
        self._wake_event.set()

    @property
    def is_stopping(self) -> bool:
        """Tell whether ``stop`` was called."""
        return self._loop.is_stopping

    def stop(self) -> None:
        """End the task after the call in progress; wait for the end."""
        self._loop.stop()

    def _turn(self) -> None:
        has_failed = not self._run_once()
        if not self._loop.is_stopping:
            pause = self._interval()
            self._wake_event.wait(
                min(pause, _RETRY_SECONDS) if has_failed else pause
            )
        self._wake_event.clear()

    def _run_once(self) -> bool:
        """Call ``work``; log an error; return whether there was none."""
        try:
            self._work()
        except exception.MinovaException as error:
            LOG.warning(
                'Periodic task %s failed; retrying: %s', self._name, error
            )
            return False
        except Exception:
            LOG.exception(
                'Periodic task %s failed unexpectedly; retrying', self._name
            )
            return False
        return True
