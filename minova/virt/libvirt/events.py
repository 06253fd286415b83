# SPDX-License-Identifier: Apache-2.0
"""Events of libvirt: the loop that delivers them, and the changed guests.

The event loop has to be registered before the first connection is opened. One
thread of the process runs the loop while a connection is open.
"""

import queue

import libvirt
from oslo_log import log as logging

from minova import clock
from minova.loops import Loop

LOG = logging.getLogger(__name__)


class EventLoop:
    """The thread that runs libvirt's event loop while a connection is open."""

    def __init__(self) -> None:
        self._guard = clock.lock()
        self._users = 0
        self._timer: int | None = None
        self._loop = Loop(
            'libvirt-events', libvirt.virEventRunDefaultImpl, self._wake
        )

    def acquire(self) -> None:
        """Start the loop unless it runs."""
        with self._guard:
            if self._timer is None:
                # Without a handler libvirt also writes every error to stderr.
                libvirt.registerErrorHandler(_log_error, None)
                libvirt.virEventRegisterDefaultImpl()
                self._timer = libvirt.virEventAddTimeout(-1, _noop, None)
            self._users += 1
            if self._users == 1:
                self._loop.start()

    def release(self) -> None:
        """Stop the loop when no other connection needs it."""
        with self._guard:
            self._users -= 1
            if not self._users:
                self._loop.stop()
                libvirt.virEventUpdateTimeout(self._timer, -1)

    def _wake(self) -> None:
        libvirt.virEventUpdateTimeout(self._timer, 0)


def _noop(timer: int, opaque: object) -> None:
    """Wake the loop."""


def _log_error(context: object, error: object) -> None:
    """Log an error that libvirt also raises to its caller."""
    LOG.debug('libvirt: %s', error)


event_loop = EventLoop()


class ChangedGuests:
    """A queue of changed guests that holds each guest at most once."""

    def __init__(self) -> None:
        self._guard = clock.lock()
        self._pending: set[str] = set()
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()

    def put(self, uuid: str | None) -> None:
        """Queue a guest unless it is queued already."""
        if uuid is None:
            return
        with self._guard:
            if uuid in self._pending:
                return
            self._pending.add(uuid)
        self._queue.put(uuid)

    def take(self, timeout: float) -> str | None:
        """Wait for a guest to change; None after ``timeout`` seconds."""
        try:
            uuid = self._queue.get(timeout=max(0.0, timeout))
        except queue.Empty:
            return None
        # Before the caller reads the guest: a change during that read is
        # queued again.
        with self._guard:
            self._pending.discard(uuid)
        return uuid
