# SPDX-License-Identifier: Apache-2.0
"""The listening socket of the HTTP server and the bounds of its connections.

A connection without a request in progress counts for ``connection_bounds``.
The threads for streamed bodies are limited, so that slow uploads leave threads
for other requests.
"""

import collections
import socket
import sys
from typing import Any
from typing import Final
from wsgiref.types import WSGIApplication

from oslo_log import log as logging
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from minova import clock
from minova.conf import CONF
from minova.serving.connection_bounds import ConnectionBounds
from minova.serving.connection_bounds import limit_to_open_files
from minova.serving.connection_bounds import NOT_LISTENING
from minova.serving.connection_bounds import RareWarnings
from minova.serving.http_channel import Channel
from minova.serving.http_channel import ErrorBody

LOG = logging.getLogger(__name__)

#: Connections that one turn of the loop accepts.
_ACCEPTS_PER_TURN: Final = 64
#: Seconds without a request after which a connection is closed.
_IDLE_TIMEOUT: Final = 120


class Server(TcpWSGIServer):
    """The listening socket and its connections, in the map ``channels``."""

    channel_class = Channel

    def __init__(
        self,
        application: WSGIApplication,
        sock: socket.socket,
        channels: dict[int, Any],
        threads: int,
        body_limit: int,
        error_body: ErrorBody,
    ) -> None:
        """Stream a body over ``body_limit`` bytes to the application."""
        self.body_limit = body_limit
        self.error_body = error_body
        self._guard = clock.lock()
        self._warnings = RareWarnings(LOG)
        self._free_streams = max(1, threads // 2)
        self._waiting: collections.deque[Channel] = collections.deque()
        most = limit_to_open_files(CONF.api.max_connections)
        self._bounds: ConnectionBounds[Channel] = ConnectionBounds(
            most, CONF.api.max_connections_per_address
        )
        dispatcher = ThreadedTaskDispatcher()
        dispatcher.set_thread_count(threads)
        super().__init__(
            application,
            channels,
            _sock=sock,
            dispatcher=dispatcher,
            adj=Adjustments(
                sockets=[sock],
                ident='minova',
                max_request_body_size=sys.maxsize,
                # As many again may have a request in progress.
                connection_limit=2 * most,
                channel_timeout=_IDLE_TIMEOUT,
                cleanup_interval=1,
            ),
            bind_socket=False,
            sockinfo=(sock.family, sock.type, sock.proto, sock.getsockname()),
        )

    # -- connections ---------------------------------------------------------

    def handle_accept(self) -> None:
        """Accept connections; without a free file end the oldest one."""
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                pair = self.accept()
            except OSError as error:
                if error.errno in NOT_LISTENING:
                    self.handle_close()
                with self._guard:
                    oldest = self._bounds.pop_without_free_file(error)
                self._warn(oldest, 'no file descriptor is free')
                oldest.handle_close()
                return
            if pair is None:
                return
            self._open(*pair)

    def _open(self, sock: socket.socket, address: Any) -> None:
        try:
            self.set_socket_options(sock)
            self.channel_class(self, sock, address, self.adj, map=self._map)
        except OSError as error:
            # The client has disconnected.
            LOG.debug('Connection from %s ended: %s', address, error)
            sock.close()

    def handle_error(self) -> None:
        """Let the loop log the error: the listening socket stays open."""
        error = sys.exception()
        assert error is not None
        raise error

    def handle_close(self) -> None:
        """End the loop, which the health check notices."""
        sys.exit('The listening socket of the HTTP server has failed')

    def count(self, channel: Channel) -> None:
        """Count an idle connection, and only an idle one; by the loop.

        One that is about to close is not counted again.
        """
        is_counted = channel.is_idle and not channel.will_close
        with self._guard:
            if is_counted == (channel in self._bounds):
                return
            if not is_counted:
                self._bounds.discard(channel)
                return
            oldest = self._bounds.add(channel, str(channel.addr[0]))
        if oldest is not None:
            self._warn(oldest, 'too many are open')
            oldest.will_close = True

    def forget(self, channel: Channel) -> None:
        """Count a connection no more, which is closed."""
        with self._guard:
            self._bounds.discard(channel)

    def maintenance(self, now: float) -> None:
        """Close the connections that are overdue."""
        super().maintenance(now)
        for channel in list(self.active_channels.values()):
            # ``now`` is the time of day, which waitress uses.
            silence = now - channel.last_activity
            channel.enforce_deadlines(clock.monotonic(), silence)

    def _warn(self, channel: Channel, reason: str) -> None:
        self._warnings.log(
            'HTTP server: the oldest idle connection, from %s, is closed: %s',
            channel.addr[0],
            reason,
        )

    # -- streamed bodies -----------------------------------------------------

    def readable(self) -> bool:
        """Tell whether the loop accepts connections; start streams."""
        self._start_streams()
        return bool(super().readable())

    def stream_when_free(self, channel: Channel) -> None:
        """Stream the body of a request as soon as a thread may."""
        self._waiting.append(channel)

    def end_stream(self) -> None:
        """Note that a thread has finished a streamed request."""
        with self._guard:
            self._free_streams += 1
        self.pull_trigger()

    def _start_streams(self) -> None:
        while self._waiting and self._free_streams:
            channel = self._waiting.popleft()
            if channel.connected:
                with self._guard:
                    self._free_streams -= 1
                channel.start_stream()
