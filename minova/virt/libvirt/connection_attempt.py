# SPDX-License-Identifier: Apache-2.0
"""One attempt to open a connection to libvirt, in a thread of its own."""

from collections.abc import Callable
import contextlib

import libvirt
from oslo_log import log as logging

from minova import cancellation
from minova import clock
from minova.conf import CONF
from minova.virt.libvirt.errors import error_message
from minova.virt.libvirt.errors import unreachable

LOG = logging.getLogger(__name__)


class OpenConnection:
    """An open connection and the callbacks registered with it."""

    def __init__(
        self, connection: libvirt.virConnect, callbacks: list[int]
    ) -> None:
        self.connection = connection
        self._callbacks = callbacks

    def is_alive(self) -> bool:
        """Return whether the connection can be used."""
        try:
            return bool(self.connection.isAlive())
        except libvirt.libvirtError:
            return False

    def close(self) -> None:
        """Deregister the callbacks and close the connection."""
        # A dead connection has dropped its callbacks.
        for callback in self._callbacks:
            with contextlib.suppress(libvirt.libvirtError):
                self.connection.domainEventDeregisterAny(callback)
        with contextlib.suppress(libvirt.libvirtError):
            self.connection.close()


class ConnectionAttempt:
    """One attempt to open a connection, in a thread.

    The attempt hangs while libvirt is silent and cannot be interrupted. All
    callers that wait for it get the same result. ``setup`` runs before the
    connection is used, may hang as well, and returns the callbacks that it
    registered.
    """

    def __init__(
        self, uri: str, setup: Callable[[libvirt.virConnect], list[int]]
    ) -> None:
        self._uri = uri
        self._setup = setup
        self._guard = clock.lock()
        self._ended = clock.event()
        self._cancelled = False
        self._error: libvirt.libvirtError | None = None
        self._opened: OpenConnection | None = None
        clock.spawn('libvirt-open', self._run)

    def _run(self) -> None:
        try:
            self._open()
        except libvirt.libvirtError as error:
            self._error = error
        except Exception:
            # Every caller that waits must get a result, whatever happens.
            LOG.exception('Opening libvirt at %s failed', self._uri)
        finally:
            self._ended.set()

    def _open(self) -> None:
        connection = libvirt.open(self._uri)
        try:
            opened = OpenConnection(connection, self._setup(connection))
        except libvirt.libvirtError:
            connection.close()
            raise
        with self._guard:
            if self._cancelled:
                opened.close()
            else:
                self._opened = opened

    def has_failed(self) -> bool:
        """Return whether the attempt ended without a connection."""
        return self._ended.is_set() and self._opened is None

    def result(self) -> OpenConnection:
        """Return the connection, or raise GuestFailed.

        GuestFailed also when the attempt takes longer than ``[libvirt]
        connect_timeout`` seconds from now.
        """
        timeout = CONF.libvirt.connect_timeout
        if not cancellation.wait_for(self._ended, timeout):
            raise unreachable(self._uri, f'no answer within {timeout:g} s')
        if self._error is not None:
            reason = error_message(self._error)
            raise unreachable(self._uri, reason) from self._error
        opened = self._opened
        if opened is None:
            raise unreachable(self._uri, 'the connection was not opened')
        return opened

    def cancel(self) -> None:
        """Close the connection that the attempt may still open."""
        with self._guard:
            self._cancelled = True
            if self._opened is not None:
                self._opened.close()
                self._opened = None
