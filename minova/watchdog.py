# SPDX-License-Identifier: Apache-2.0
"""The watch of a master over its workers, which it can kill.

A worker cannot keep a time limit itself while one of its threads is in C code
that holds the interpreter's lock, such as a regular expression: no other
thread, and no handler of a signal, runs until the call returns.

* A thread of each worker counts in memory that the master shares. If a
  counter is the same for ``worker_timeout``, the master kills the worker; a
  new one starts. A worker that is frozen, as by a debugger, is not killed.
* The master kills the workers that did not end within
  ``graceful_shutdown_timeout``, and then ends itself.
* Each worker reports whether it serves, and when its health check last found
  all loops alive (``loops``), for ``sd_notify.py``.
* A worker that has lost its master and loops in C code is ended by SIGPROF,
  whose default action needs no interpreter, after twice ``worker_timeout`` of
  CPU time.
"""

from collections.abc import Container
import multiprocessing
import os
import pathlib
import signal

from oslo_log import log as logging

from minova import clock
from minova import loops
from minova.conf import CONF
from minova.loops import Loop

LOG = logging.getLogger(__name__)

#: How often a worker counts, and its master reads, within worker_timeout.
_COUNTS = 10
#: Seconds for the end of workers whose own limit has passed, or that the
#: master has killed.
_GRACE = 2.0
#: The size of the reason for which a worker does not serve yet, in bytes.
_REASON_SIZE = 240
#: The states of a process that is frozen, see proc(5).
_FROZEN = ('T', 't')


class Watchdog:
    """Counters of the workers; the master creates it before it forks."""

    def __init__(self, workers: int) -> None:
        self._pids = multiprocessing.RawArray('q', workers)
        self._counters = multiprocessing.RawArray('q', workers)
        self._stopped = multiprocessing.RawArray('b', workers)
        self._serving = multiprocessing.RawArray('b', workers)
        self._healthy_at = multiprocessing.RawArray('d', workers)
        self._reason = multiprocessing.RawArray('c', _REASON_SIZE)
        # What the master has seen, and the intervals since: those in which it
        # runs itself, so not those in which it or the machine sleeps.
        self._seen = [(0, 0)] * workers
        self._silent = [0] * workers

    # -- in a worker ---------------------------------------------------------

    def start_counting(
        self, service_id: object, worker: int, service: object
    ) -> None:
        """Count from now on as this worker; a hook of cotyledon."""
        self._worker = worker
        self._stopped[worker] = False
        self._serving[worker] = False
        self._pids[worker] = os.getpid()
        if CONF.worker_timeout:
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
            Loop('watchdog', self._count).start()

    def _count(self) -> None:
        self._counters[self._worker] += 1
        signal.setitimer(signal.ITIMER_PROF, 2 * CONF.worker_timeout)
        clock.sleep(CONF.worker_timeout / _COUNTS)

    def mark_stopped(self) -> None:
        """Record that this worker has stopped its service."""
        self._stopped[self._worker] = True

    def mark_waiting(self, reason: str) -> None:
        """Record why this worker cannot serve yet."""
        text = reason.encode()[: _REASON_SIZE - 1]
        self._reason.value = text.replace(b'\0', b' ')

    def mark_serving(self) -> None:
        """Record that this worker serves."""
        self._reason.value = b''
        self._serving[self._worker] = True

    def mark_healthy(self) -> None:
        """Record that the loops of this worker live."""
        self._healthy_at[self._worker] = clock.monotonic()

    # -- in the master -------------------------------------------------------

    def start(self) -> None:
        """Watch the workers from now on."""
        if CONF.worker_timeout:
            Loop('watchdog', self._check).start()

    def forget(
        self, service_id: object, worker: int, exit_code: object
    ) -> None:
        """Forget a worker that has ended; a hook of cotyledon."""
        self._pids[worker] = 0
        self._serving[worker] = False

    def pids(self) -> frozenset[int]:
        """Return the process ids of the workers."""
        return frozenset(self._pids) - {0}

    def count_serving(self, outdated: Container[int]) -> int:
        """Return the number of workers that serve, without ``outdated``."""
        return sum(
            serving and pid not in outdated
            for pid, serving in zip(self._pids, self._serving, strict=True)
        )

    def reason(self) -> str:
        """Return why a worker does not serve yet; '' if none has said."""
        return bytes(self._reason.value).decode(errors='replace')

    def unhealthy(self) -> list[int]:
        """Return the workers, 0 for one that ended, without a new report."""
        oldest = clock.monotonic() - loops.MAX_CHECK_AGE
        return [
            pid
            for pid, at in zip(self._pids, self._healthy_at, strict=True)
            if at < oldest
        ]

    def limit_shutdown(self) -> None:
        """Kill the workers that run after ``graceful_shutdown_timeout``.

        The master calls it when it tells its workers to stop.
        """
        if CONF.graceful_shutdown_timeout:
            clock.spawn('shutdown limit', self._end_at_limit)

    def has_stopped(self) -> bool:
        """Tell whether each worker stopped its service before it ended."""
        return all(
            stopped or not pid
            for pid, stopped in zip(self._pids, self._stopped, strict=True)
        )

    def _check(self) -> None:
        clock.sleep(CONF.worker_timeout / _COUNTS)
        for worker, pid in enumerate(self._pids):
            now = (pid, self._counters[worker])
            if now != self._seen[worker] or not pid or _is_frozen(pid):
                self._seen[worker] = now
                self._silent[worker] = 0
                continue
            self._silent[worker] += 1
            if self._silent[worker] >= _COUNTS:
                LOG.critical(
                    'Worker %d has not responded for %g s; killing it',
                    pid,
                    CONF.worker_timeout,
                )
                self._silent[worker] = 0
                os.kill(pid, signal.SIGKILL)

    def _end_at_limit(self) -> None:
        # A worker has the same limit, and logs it.
        clock.sleep(CONF.graceful_shutdown_timeout + _GRACE)
        for pid in self._pids:
            if pid and _state(pid) not in ('', 'Z'):
                LOG.critical(
                    'Worker %d did not stop within '
                    'graceful_shutdown_timeout; killing it',
                    pid,
                )
                os.kill(pid, signal.SIGKILL)
        # Even a killed worker remains while it waits for a device.
        clock.sleep(_GRACE)
        os._exit(1)


def _state(pid: int) -> str:
    """Return the state letter of a process; '' if it does not exist."""
    try:
        stat = pathlib.Path(f'/proc/{pid}/stat').read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ''
    # The name before it, in brackets, may hold anything.
    return stat.rpartition(')')[2].split()[0]


def _is_frozen(pid: int) -> bool:
    return _state(pid) in _FROZEN
