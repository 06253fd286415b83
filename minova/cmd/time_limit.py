# SPDX-License-Identifier: Apache-2.0
"""The time limit of a command.

A command may wait for a database, a broker, a hypervisor or a program that
does not answer, in code of a library that has no timeout of its own. At its
limit it is interrupted as by Ctrl-C, so that it prints what it has done. A
command that does not end then either is ended at once.
"""

from collections.abc import Callable
import os
import signal
import sys
import threading
import types
from typing import Final

from minova import clock

#: Seconds for the end of an interrupted command, and of its threads.
_GRACE: Final = 5.0
#: The signal that interrupts the command, also in a call of the system.
_SIGNAL: Final = signal.SIGUSR1
#: The modules of Minova that wait for others, and what they wait for.
_PEERS: Final = (
    ('minova.db.', 'the database ([database] connection)'),
    ('minova.rpc.', 'the message broker ([DEFAULT] transport_url)'),
    ('minova.notifications.envelope', 'the message broker'),
    ('minova.virt.', 'the hypervisor'),
    ('minova.rig.hosts', 'libvirt of the hosts of the rig'),
    ('minova.subprocesses', 'a program that it runs'),
)


class _Expired(KeyboardInterrupt):
    """The command has reached its limit."""


class TimeLimit:
    """Runs one command in the main thread, for a limited time."""

    def __init__(self, prog: str, seconds: float) -> None:
        self._prog = prog
        self._seconds = seconds
        self._ended = clock.event()
        self._is_running = False
        self._is_expired = False
        self._is_reported = False
        self._reason = ''

    def run(self, command: Callable[[], int]) -> int:
        """Return the exit code of the command, 1 at the limit.

        The process exits with 1 if the command does not end at the limit, or
        if a thread that it has started then keeps the process.
        """
        before = signal.signal(_SIGNAL, self._interrupt)
        self._is_running = True
        watch = clock.spawn('time-limit', self._watch)
        try:
            return command()
        except BaseException:
            if not self._is_expired:
                raise
            # The interruption, or an error of the clean-up after it.
            self._report()
            return 1
        finally:
            self._is_running = False
            if not self._is_expired:
                self._ended.set()
                watch.join()
                signal.signal(_SIGNAL, before)

    def _interrupt(self, number: int, frame: types.FrameType | None) -> None:
        if self._is_running:
            self._is_running = False
            raise _Expired

    def _watch(self) -> None:
        if self._ended.wait(self._seconds):
            return
        self._is_expired = True
        main = threading.main_thread().ident
        assert main is not None
        self._reason = _describe_wait(sys._current_frames().get(main))
        signal.pthread_kill(main, _SIGNAL)
        self._ended.wait(_GRACE)
        if not self._is_reported:
            self._report()
        os._exit(1)

    def _report(self) -> None:
        self._is_reported = True
        sys.stderr.write(
            f'{self._prog}: the command did not end within '
            f'{self._seconds:g} s; {self._reason}. A longer limit: '
            '--timeout SECONDS.\n'
        )
        sys.stderr.flush()


def _describe_wait(frame: types.FrameType | None) -> str:
    """Return what the innermost part of Minova in a stack waits for."""
    while frame is not None:
        module = str(frame.f_globals.get('__name__'))
        for prefix, peer in _PEERS:
            if f'{module}.'.startswith(prefix):
                return f'it waited for {peer}'
        frame = frame.f_back
    return 'it was still working'
