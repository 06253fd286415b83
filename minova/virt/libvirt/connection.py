# SPDX-License-Identifier: Apache-2.0
"""A connection to one libvirt: opened on first use, reopened after its death.

The connection knows no guests: it reports which guests changed. ``errors``
translates libvirt's errors, ``events`` runs the event loop.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib

import libvirt
from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.virt.libvirt.connection_attempt import ConnectionAttempt
from minova.virt.libvirt.connection_attempt import OpenConnection
from minova.virt.libvirt.errors import unreachable
from minova.virt.libvirt.events import event_loop

LOG = logging.getLogger(__name__)

#: Receives the uuid of a guest that changed; None: changes may be lost.
Listener = Callable[[str | None], None]

#: Seconds between two keepalives of a remote libvirt, and the number of
#: missing answers after which the connection counts as dead.
_KEEPALIVE = (5, 5)


# -- errors ------------------------------------------------------------------


# -- events ------------------------------------------------------------------


# -- opening -----------------------------------------------------------------


class Connection:
    """A connection to the libvirt at ``uri``."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._guard = clock.lock()
        self._listeners: list[Listener] = []
        self._attempt: ConnectionAttempt | None = None
        self._current: OpenConnection | None = None
        self._was_open = False
        self._in_loop = False
        self._closed = False

    def add_listener(self, listener: Listener) -> None:
        """Call ``listener`` with the uuid of each guest that changes.

        The event loop's thread makes the call: ``listener`` must neither block
        nor call libvirt. None instead of a uuid means that changes may have
        been lost.
        """
        self._listeners.append(listener)

    def get(self) -> libvirt.virConnect:
        """Return libvirt's connection; reopen it when it is dead.

        Raises GuestFailed when libvirt does not answer within ``[libvirt]
        connect_timeout`` seconds. All waiting callers share one attempt.
        """
        with self._guard:
            current = self._live_connection()
            if current is not None:
                return current.connection
            attempt = self._start_attempt()
        try:
            opened = attempt.result()
        except exception.GuestFailed:
            with self._guard:
                # The next caller waits for an attempt that still hangs; a
                # second attempt would hang as well.
                if self._attempt is attempt and attempt.has_failed():
                    self._attempt = None
            raise
        with self._guard:
            if self._attempt is attempt:
                self._attempt = None
                self._current = opened
                self._was_open = True
        return opened.connection

    def _live_connection(self) -> OpenConnection | None:
        """Return the open connection, None without one."""
        if self._closed:
            raise unreachable(self.uri, 'the connection was closed')
        if self._current is not None and not self._current.is_alive():
            LOG.warning(
                'The connection to libvirt at %s is dead; reopening it.',
                self.uri,
            )
            self._close_current()
        return self._current

    def _start_attempt(self) -> ConnectionAttempt:
        """Return the attempt that all callers wait for."""
        if not self._in_loop:
            event_loop.acquire()
            self._in_loop = True
        if self._attempt is None:
            self._attempt = ConnectionAttempt(self.uri, self._subscribe)
        return self._attempt

    @contextlib.contextmanager
    def dedicated(self) -> Iterator[libvirt.virConnect]:
        """Open another connection for one call that may take very long.

        libvirtd processes few calls of one connection at a time: five, unless
        ``max_client_requests`` says otherwise. While that many calls wait,
        libvirtd reads nothing from the connection, not even keepalives. The
        shared connection would hang and then break.
        """
        # get() starts the event loop, which also answers the keepalives of
        # the dedicated connection.
        self.get()
        attempt = ConnectionAttempt(self.uri, _keep_alive)
        try:
            opened = attempt.result()
        except exception.GuestFailed:
            attempt.cancel()
            raise
        try:
            yield opened.connection
        finally:
            opened.close()

    def close(self) -> None:
        """Close the connection for good."""
        with self._guard:
            self._closed = True
            if self._attempt is not None:
                self._attempt.cancel()
                self._attempt = None
            self._close_current()
            if self._in_loop:
                self._in_loop = False
                event_loop.release()

    def _subscribe(self, conn: libvirt.virConnect) -> list[int]:
        _keep_alive(conn)
        callbacks = [
            conn.domainEventRegisterAny(None, kind, callback, None)
            for kind, callback in (
                (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_change),
                (libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, self._on_change),
            )
        ]
        self._notify(None)
        if self._was_open:
            for domain in conn.listAllDomains():
                self._notify(domain.UUIDString())
        return callbacks

    def _on_change(
        self,
        conn: libvirt.virConnect,
        domain: libvirt.virDomain,
        *details: object,
    ) -> None:
        self._notify(domain.UUIDString())

    def _notify(self, uuid: str | None) -> None:
        for listener in self._listeners:
            listener(uuid)

    def _close_current(self) -> None:
        current, self._current = self._current, None
        if current is not None:
            current.close()


def _keep_alive(conn: libvirt.virConnect) -> list[int]:
    with contextlib.suppress(libvirt.libvirtError):
        # The test driver runs in this process and has no keepalive.
        conn.setKeepAlive(*_KEEPALIVE)
    return []
