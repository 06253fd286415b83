# SPDX-License-Identifier: Apache-2.0
"""The state of a service for systemd, see sd_notify(3).

The master of a service sends it, and only the master: its process id is the
one that systemd knows (``NotifyAccess=main``). A service is ready when each
worker serves. The watchdog of systemd gets a message as long as the health
check of each worker, and the master itself, find all loops alive; a service
that hangs for ``WatchdogSec`` is ended and started again.

oslo.service and cotyledon notify too, but when the master starts, long before
a worker serves: the constructor hides the socket from them.
"""

import os
import socket
from typing import Final

from oslo_log import log as logging

from minova import clock
from minova import loops
from minova.watchdog import Watchdog

LOG = logging.getLogger(__name__)

#: Seconds between two looks at the workers.
_POLL_INTERVAL: Final = 0.25
#: Seconds by which each message extends the start, and their interval: a start
#: waits for the broker, the database and a conductor.
_START_EXTENSION: Final = 60
_START_INTERVAL: Final = 10.0
#: Seconds for which systemd may not take a message.
_SEND_TIMEOUT: Final = 1.0


class Notifier:
    """Tells systemd about the workers that ``watchdog`` watches.

    Does nothing in a process that systemd did not start with ``Type=notify``.
    """

    def __init__(self, watchdog: Watchdog, workers: int) -> None:
        self._workers = workers
        self._watchdog = watchdog
        self._address = os.environ.pop('NOTIFY_SOCKET', '')
        self._ping_interval = _take_watchdog_interval()
        self._guard = clock.lock()
        # The workers that end before the service is ready again.
        self._outdated: frozenset[int] = frozenset()
        self._is_ready = False
        self._is_stopping = False
        self._is_healthy = True
        self._status = ''
        # systemd expects no watchdog message before it knows of the start.
        self._next_ping: float | None = None
        self._next_extension = clock.monotonic()
        self._loop = loops.Loop('sd-notify', self._turn)

    def start(self) -> None:
        """Send messages from now on."""
        if self._address:
            self._loop.start()

    def reload(self) -> None:
        """Announce that all workers are replaced; a hook of cotyledon."""
        with self._guard:
            self._outdated = self._watchdog.pids()
            self._is_ready = False
            self._send(
                'RELOADING=1',
                f'MONOTONIC_USEC={int(clock.monotonic() * 1_000_000)}',
            )

    def stop(self) -> None:
        """Announce the end of the service; a hook of cotyledon."""
        with self._guard:
            self._is_stopping = True
            self._send('STOPPING=1', 'STATUS=Stopping')

    def _turn(self) -> None:
        with self._guard:
            if not self._is_stopping:
                self._report_progress()
            self._report_health()
        clock.sleep(_POLL_INTERVAL)

    def _report_progress(self) -> None:
        serving = self._watchdog.count_serving(self._outdated)
        status = 'Serving'
        if serving < self._workers:
            status = f'{serving} of {self._workers} workers serve'
            if reason := self._watchdog.reason():
                status = f'{status}: {reason}'
        if serving == self._workers and not self._is_ready:
            self._is_ready = True
            self._next_ping = clock.monotonic()
            self._send('READY=1', f'STATUS={status}')
        elif status != self._status:
            self._send(f'STATUS={status}')
        self._status = status

    def _report_health(self) -> None:
        now = clock.monotonic()
        must_extend = not self._is_ready and now >= self._next_extension
        must_ping = (
            self._ping_interval > 0
            and self._next_ping is not None
            and now >= self._next_ping
        )
        if not (must_extend or must_ping):
            return
        problem = self._find_problem()
        if problem:
            if self._is_healthy and must_ping:
                LOG.critical(
                    'Health check: %s; systemd ends this service after its '
                    'WatchdogSec',
                    problem,
                )
                self._is_healthy = False
            return
        if must_extend:
            self._next_extension = now + _START_INTERVAL
            self._send(f'EXTEND_TIMEOUT_USEC={_START_EXTENSION * 1_000_000}')
        if must_ping:
            self._is_healthy = True
            self._next_ping = now + self._ping_interval
            self._send('WATCHDOG=1')

    def _find_problem(self) -> str:
        """Return why the service is not healthy; '' if it is."""
        if dead := loops.find_dead():
            return f'ended threads: {", ".join(dead)}'
        if silent := self._watchdog.unhealthy():
            pids = ', '.join(str(pid) for pid in silent)
            return f'worker {pids} has not reported its health'
        return ''

    def _send(self, *fields: str) -> None:
        if not self._address:
            return
        # '@' stands for the abstract namespace.
        path = self._address.replace('@', '\0', 1)
        message = '\n'.join(' '.join(one.split()) for one in fields)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(_SEND_TIMEOUT)
            try:
                sock.connect(path)
                sock.sendall(message.encode())
            except OSError as error:
                LOG.warning('systemd takes no message: %s', error)


def _take_watchdog_interval() -> float:
    """Return the seconds between two messages; 0: systemd has no watchdog.

    sd_watchdog_enabled(3) recommends half of the time limit.
    """
    limit = os.environ.pop('WATCHDOG_USEC', '')
    pid = os.environ.pop('WATCHDOG_PID', '')
    if not limit.isdecimal() or pid not in ('', str(os.getpid())):
        return 0.0
    return int(limit) / 2_000_000
