# SPDX-License-Identifier: Apache-2.0
"""A thing done again and again beside everything else, until told to stop."""

from collections.abc import Callable

from oslo_log import log as logging

from minova import clock
from minova import exception

LOG = logging.getLogger(__name__)


class PeriodicTask:
    """Calls ``work`` every ``interval()`` seconds and whenever it is woken.

    What ``work`` raises is logged, a known error as one line, and it is called
    again: a loop ends only by ``stop``.
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
        """Begin, with a first call at once."""
        self._thread = clock.spawn(self._name, self._run)

    def wake(self) -> None:
        """Have ``work`` called again as soon as it is not being called."""
        self._wake_event.set()

    def stop(self) -> None:
        """End after the call that is under way, and wait for that."""
        self._stopping = True
        self._wake_event.set()
        if self._thread is not None:
            self._thread.join()

    def _run_once(self) -> exception.MinovaException | None:
        """Call ``work``; return what kept it from ending, if it is known."""
        try:
            self._work()
        except exception.MinovaException as error:
            return error
        except Exception:
            LOG.exception('%s failed; it is tried again', self._name)
        return None

    def _run(self) -> None:
        while not self._stopping:
            error = self._run_once()
            if error is not None:
                LOG.warning('%s: %s', self._name, error)
            if not self._stopping:
                self._wake_event.wait(self._interval())
            self._wake_event.clear()
