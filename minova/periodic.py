# SPDX-License-Identifier: Apache-2.0
"""Periodic tasks, each in a thread of its own."""

from collections.abc import Callable

from oslo_log import log as logging

from minova import clock
from minova import exception

LOG = logging.getLogger(__name__)


class PeriodicTask:
    """Calls ``work`` every ``interval()`` seconds and at each wake-up.

    An error of ``work`` is logged, a MinovaException as one line, and the task
    continues: only ``stop`` ends it.
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
        self._stopping = False
        self._wake_event = clock.event()
        self._thread: clock.Thread | None = None

    def start(self) -> None:
        """Start the task; the first call is immediate."""
        self._thread = clock.spawn(self._name, self._run)

    def wake(self) -> None:
        """Call ``work`` again as soon as no call is in progress."""
        self._wake_event.set()

    def stop(self) -> None:
        """End the task after the call in progress; wait for the end."""
        self._stopping = True
        self._wake_event.set()
        if self._thread is not None:
            self._thread.join()

    def _run_once(self) -> exception.MinovaException | None:
        """Call ``work``; return its MinovaException, log another error."""
        try:
            self._work()
        except exception.MinovaException as error:
            return error
        except Exception:
            LOG.exception(
                'Periodic task %s failed unexpectedly; retrying', self._name
            )
        return None

    def _run(self) -> None:
        while not self._stopping:
            error = self._run_once()
            if error is not None:
                LOG.warning(
                    'Periodic task %s failed; retrying: %s', self._name, error
                )
            if not self._stopping:
                self._wake_event.wait(self._interval())
            self._wake_event.clear()
