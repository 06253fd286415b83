# SPDX-License-Identifier: Apache-2.0
"""The health of the host's hypervisor, which the heartbeats report.

A thread of its own asks the hypervisor, because the answer of a hypervisor
that hangs may take minutes: the heartbeats go on meanwhile.
"""

from collections.abc import Callable

from oslo_log import log as logging

from minova import cancellation
from minova import clock
from minova import exception
from minova.compute.conductor_client import ServiceStopping
from minova.conf import CONF
from minova.periodic import PeriodicTask
from minova.virt.driver import Driver

LOG = logging.getLogger(__name__)

#: Seconds after which a hypervisor that has not answered counts as hanging.
HANGS_AFTER = 20.0
#: The longest text that the database keeps.
_MAX_LENGTH = 250


class HypervisorHealth:
    """Whether the hypervisor answers."""

    def __init__(
        self, host: str, driver: Driver, on_change: Callable[[], None]
    ) -> None:
        """``on_change`` is called, in the own thread, after each change."""
        self._host = host
        self._driver = driver
        self._on_change = on_change
        self._error: str | None = None
        self._asked_at: float | None = None
        self._reported: str | None = None
        self._signal = cancellation.Signal()
        self._task = PeriodicTask(
            f'hypervisor-{host}',
            self.check,
            lambda: CONF.heartbeat_interval,
        )

    def start(self) -> None:
        """Ask now and then with every heartbeat."""
        self._task.start()

    def check_soon(self) -> None:
        """Ask now: a call of a step had no answer."""
        self._task.wake()

    def stop(self) -> None:
        """Stop; do not wait for the answer of a hypervisor that hangs."""
        self._signal.set(ServiceStopping('hypervisor health'))
        self._task.stop()

    def report(self) -> str | None:
        """Return ``error`` for a heartbeat; log its begin and its end."""
        before, self._reported = self._reported, self.error
        if before is None and self._reported is not None:
            LOG.error(
                'Compute %s gets no servers: its hypervisor cannot be used: '
                '%s. Retrying every %g s.',
                self._host,
                self._reported,
                CONF.heartbeat_interval,
            )
        if before is not None and self._reported is None:
            LOG.info('Compute %s: the hypervisor answers again.', self._host)
        return self._reported

    @property
    def error(self) -> str | None:
        """Why the hypervisor cannot be used, None when it answers."""
        asked_at = self._asked_at
        if asked_at is not None:
            silence = clock.monotonic() - asked_at
            if silence > HANGS_AFTER:
                return f'the hypervisor has not answered for {silence:.0f} s'
        return self._error

    def check(self) -> None:
        """Ask the hypervisor, and note the answer."""
        self._asked_at = clock.monotonic()
        self._error = self._ask()
        self._asked_at = None
        if (self._error is None) is not (self._reported is None):
            self._on_change()

    def _ask(self) -> str | None:
        try:
            with cancellation.scope(self._signal):
                cancellation.call('check-health', self._driver.check_health)
        except ServiceStopping:
            return self._error
        except exception.GuestFailed as error:
            return str(error)[:_MAX_LENGTH]
        return None
