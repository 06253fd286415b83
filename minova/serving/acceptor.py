# SPDX-License-Identifier: Apache-2.0
"""Accepts connections; a peer gets a thread when its first request is there.

One thread holds all connections whose first request, or TLS handshake, is not
complete, within a deadline and a bound. Then a thread of its own serves the
connection. The connection stays within the bound, and has another deadline,
until its server calls ``trust``: its peer is authenticated.
"""

from collections.abc import Callable
import contextlib
import dataclasses
import os
import select
import socket
import ssl
import sys
from typing import Final
from typing import Protocol

from oslo_log import log as logging

from minova import clock
from minova.loops import Loop
from minova.loops import TURN_LIMIT
from minova.serving.connection_bounds import ConnectionBounds
from minova.serving.connection_bounds import limit_to_open_files
from minova.serving.connection_bounds import NOT_LISTENING
from minova.serving.connection_bounds import RareWarnings

LOG = logging.getLogger(__name__)

#: The maximum number of connections without an authenticated peer, of which
#: one address may have a quarter.
MAX_UNTRUSTED: Final = 256
#: Seconds for the handshake and the first request.
OPENING_TIMEOUT: Final = 10.0
#: Seconds from the first request to the authentication, or the end.
_TRUST_TIMEOUT: Final = 60.0
#: The maximum size of the first line and the headers.
_MAX_HEAD: Final = 16384
_HEAD_END: Final = b'\r\n\r\n'
#: Connections that one turn accepts.
_ACCEPTS_PER_TURN: Final = 64
#: Seconds between two checks of deadlines.
_CHECK_INTERVAL: Final = 0.5
_EVENTS: Final = (
    select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
)
_GONE: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR


class Opening(Protocol):
    """What precedes the first request of a connection, without blocking."""

    @property
    def socket(self) -> socket.socket:
        """The socket, of TLS the secured one."""

    def advance(self) -> bool:
        """Use what has arrived; return whether the request can be read.

        Raises OSError or ValueError for a connection that must end.
        """


class PlainOpening:
    """A connection without TLS; its request stays in the socket."""

    def __init__(self, plain: socket.socket) -> None:
        self.socket = plain

    def advance(self) -> bool:
        """Return whether the head of a request has arrived."""
        try:
            head = self.socket.recv(_MAX_HEAD, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        if _HEAD_END in head:
            return True
        if not head or len(head) >= _MAX_HEAD:
            raise ValueError('no request')
        return False


class TlsOpening:
    """A connection with TLS; ``head`` is what was read of the request."""

    def __init__(self, plain: socket.socket, context: ssl.SSLContext) -> None:
        self.socket = context.wrap_socket(
            plain, server_side=True, do_handshake_on_connect=False
        )
        self.head = b''
        self._has_shaken_hands = False

    def advance(self) -> bool:
        """Return whether the head of a request was read."""
        try:
            if not self._has_shaken_hands:
                self.socket.do_handshake()
                self._has_shaken_hands = True
            while _HEAD_END not in self.head:
                chunk = self.socket.recv(4096)
                if not chunk or len(self.head) >= _MAX_HEAD:
                    raise ValueError('no request')
                self.head += chunk
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        return True


@dataclasses.dataclass(eq=False)
class _Connection:
    """An accepted connection."""

    opening: Opening
    address: str
    deadline: float
    is_trusted: bool = False
    thread: clock.Thread | None = None


class Acceptor:
    """The connections of one listening socket."""

    def __init__(
        self,
        name: str,
        listener: socket.socket,
        open_connection: Callable[[socket.socket], Opening],
        serve: Callable[[Opening, str], None],
    ) -> None:
        """``serve`` serves and closes a connection, in a thread of its own.

        ``open_connection`` takes a new socket, which does not block.
        """
        self._name = name
        self._listener = listener
        self._open_connection = open_connection
        self._serve = serve
        self._guard = clock.lock()
        limit = limit_to_open_files(MAX_UNTRUSTED)
        self._bounds: ConnectionBounds[_Connection] = ConnectionBounds(
            limit, max(1, limit // 4)
        )
        self._max_threads = limit
        # Those without a thread, by file number, and those with one.
        self._openings: dict[int, _Connection] = {}
        self._served: dict[socket.socket, _Connection] = {}
        self._warnings = RareWarnings(LOG)
        self._checked_at = float('-inf')
        self._loop = Loop(name, self._turn, self._wake, TURN_LIMIT)

    def start(self) -> None:
        """Start to accept connections."""
        self._epoll = select.epoll()
        self._wake_file = os.eventfd(0, os.EFD_NONBLOCK)
        self._listener.setblocking(False)
        self._epoll.register(self._listener, select.EPOLLIN)
        self._epoll.register(self._wake_file, select.EPOLLIN)
        self._loop.start()

    def trust(self, served: socket.socket) -> None:
        """Exempt a connection from bound and deadline; from its thread."""
        with self._guard:
            connection = self._served[served]
            self._bounds.discard(connection)
            connection.is_trusted = True

    def stop_accepting(self) -> None:
        """Close the listening socket and all connections without a thread."""
        if self._loop.is_stopping:
            return
        self._loop.stop()
        self._listener.close()
        for connection in list(self._openings.values()):
            self._close_opening(connection)
        self._epoll.close()
        os.close(self._wake_file)

    def close_connections(self) -> None:
        """Disconnect all peers; return when their threads have ended."""
        with self._guard:
            served = list(self._served.values())
        for connection in served:
            _disconnect(connection)
        for connection in served:
            if connection.thread is not None:
                connection.thread.join()

    def _wake(self) -> None:
        os.eventfd_write(self._wake_file, 1)

    # -- the loop ------------------------------------------------------------

    def _turn(self) -> None:
        found = dict(self._epoll.poll(_CHECK_INTERVAL))
        is_connecting = found.pop(self._listener.fileno(), 0)
        for number, events in found.items():
            if number in self._openings:
                self._advance(self._openings[number], events)
        # Last: a new connection may get the number of one that has ended.
        if is_connecting:
            self._accept()
        now = clock.monotonic()
        if now >= self._checked_at + _CHECK_INTERVAL:
            self._checked_at = now
            self._end_overdue(now)

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                plain, address = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in NOT_LISTENING:
                    # The health check notices the end of the loop.
                    sys.exit(f'The listening socket of {self._name} failed')
                with self._guard:
                    oldest = self._bounds.pop_without_free_file(error)
                self._end_oldest(oldest, 'no file descriptor is free')
                return
            self._open(plain, str(address[0]) if address else '')

    def _open(self, plain: socket.socket, address: str) -> None:
        plain.setblocking(False)
        try:
            opening = self._open_connection(plain)
        except (OSError, ValueError) as error:
            # The peer has disconnected already.
            self._log_end(address, error)
            plain.close()
            return
        deadline = clock.monotonic() + OPENING_TIMEOUT
        connection = _Connection(opening, address, deadline)
        self._openings[opening.socket.fileno()] = connection
        self._epoll.register(opening.socket, _EVENTS)
        with self._guard:
            oldest = self._bounds.add(connection, address)
        if oldest is not None:
            self._end_oldest(oldest, 'too many are open')

    def _advance(self, connection: _Connection, events: int) -> None:
        try:
            is_ready = connection.opening.advance()
        except (OSError, ValueError) as error:
            self._log_end(connection.address, error)
            self._close_opening(connection)
            return
        if is_ready:
            self._start_thread(connection)
        elif events & _GONE:
            self._close_opening(connection)

    def _start_thread(self, connection: _Connection) -> None:
        served = connection.opening.socket
        with self._guard:
            untrusted = sum(not c.is_trusted for c in self._served.values())
            is_full = untrusted >= self._max_threads
            if not is_full:
                self._served[served] = connection
        if is_full:
            self._warn(connection.address, 'too many requests are running')
            self._close_opening(connection)
            return
        del self._openings[served.fileno()]
        self._epoll.unregister(served)
        connection.deadline = clock.monotonic() + _TRUST_TIMEOUT
        served.setblocking(True)
        try:
            connection.thread = clock.spawn(
                f'{self._name}-connection', self._run, connection
            )
        except RuntimeError:
            # The machine has no thread left.
            self._forget(connection)
            served.close()
            raise

    def _run(self, connection: _Connection) -> None:
        try:
            self._serve(connection.opening, connection.address)
        except (OSError, ValueError) as error:
            self._log_end(connection.address, error)
        except Exception:
            LOG.exception(
                '%s: a connection from %s failed unexpectedly',
                self._name,
                connection.address,
            )
        finally:
            self._forget(connection)
            connection.opening.socket.close()

    def _forget(self, connection: _Connection) -> None:
        with self._guard:
            self._bounds.discard(connection)
            self._served.pop(connection.opening.socket, None)

    # -- ends ----------------------------------------------------------------

    def _end_overdue(self, now: float) -> None:
        for connection in list(self._openings.values()):
            if now >= connection.deadline:
                self._log_end(connection.address, 'no request in time')
                self._close_opening(connection)
        with self._guard:
            untrusted = [c for c in self._served.values() if not c.is_trusted]
        for connection in untrusted:
            if now >= connection.deadline:
                self._log_end(connection.address, 'not authenticated in time')
                _disconnect(connection)

    def _end_oldest(self, connection: _Connection, reason: str) -> None:
        self._warn(connection.address, reason)
        if connection.opening.socket in self._served:
            _disconnect(connection)
        else:
            self._close_opening(connection)

    def _close_opening(self, connection: _Connection) -> None:
        opened = connection.opening.socket
        with self._guard:
            self._bounds.discard(connection)
        del self._openings[opened.fileno()]
        self._epoll.unregister(opened)
        opened.close()

    def _warn(self, address: str, reason: str) -> None:
        self._warnings.log(
            '%s: the oldest connection without an authenticated peer, from '
            '%s, is closed: %s',
            self._name,
            address,
            reason,
        )

    def _log_end(self, address: str, reason: object) -> None:
        LOG.debug(
            '%s: connection from %s ended: %s', self._name, address, reason
        )


def _disconnect(connection: _Connection) -> None:
    """End the reads and writes of the thread of a connection."""
    with contextlib.suppress(OSError):
        # Below TLS, whose shutdown waits for the peer.
        socket.socket.shutdown(connection.opening.socket, socket.SHUT_RDWR)
