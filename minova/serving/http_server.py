# SPDX-License-Identifier: Apache-2.0
"""The HTTP server of a service: waitress with a graceful stop.

The master process opens the socket, so that a used port is an error at the
start and several workers can share the socket.
"""

import contextlib
import ctypes
import socket
import struct
from wsgiref.types import WSGIApplication

from waitress import wasyncore
from waitress.channel import HTTPChannel

from minova import clock
from minova import exception
from minova.loops import Loop
from minova.loops import TURN_LIMIT
from minova.serving import http_listener
from minova.serving.http_channel import ErrorBody

#: Seconds for requests in progress when the service stops.
_DRAIN_SECONDS = 20.0
#: Seconds within which a new connection sends its first request.
_FIRST_REQUEST_SECONDS = 2.0

#: SO_ATTACH_FILTER of Linux, which the socket module lacks.
_ATTACH_FILTER = 26
#: A BPF program for the packets of a listening socket, see socket(7) and the
#: kernel's networking/filter.rst: code, jump if true, jump if false, operand.
#: It drops every request for a new connection.
_DROP_SYN_FILTER = (
    (0x30, 0, 0, 13),  # load the byte with the flags of TCP
    (0x45, 0, 1, 0x02),  # is SYN set?
    (0x06, 0, 0, 0),  # then drop the packet
    (0x06, 0, 0, 0xFFFFFFFF),  # else accept all of it
)


def listen(
    address: str,
    port: int,
    options: str = '[api] osapi_compute_listen and osapi_compute_listen_port',
) -> socket.socket:
    """Return a listening socket; raise ConfigInvalid on failure.

    ``options`` names the options of the address, for the error text.
    """
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((address, port))
    except OSError as error:
        sock.close()
        raise exception.ConfigInvalid(
            reason=f'cannot listen on {address}:{port}: {error.strerror}; '
            f'check {options}'
        ) from error
    sock.listen(1024)
    return sock


def refuse_connections(sock: socket.socket) -> None:
    """Refuse new connections once the workers have closed the socket.

    The master calls it when all its workers are about to end: its own copy of
    the socket would accept connections that no worker serves. A load balancer
    sends a refused request to another api. Existing connections are served.

    From now on the kernel drops requests for a connection, which a worker
    might not accept before it closes the socket and which would then be reset.
    The client repeats the request after a second and is refused, or connected
    to the next process.
    """
    code = b''.join(struct.pack('HBBI', *one) for one in _DROP_SYN_FILTER)
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack(
        'HP', len(_DROP_SYN_FILTER), ctypes.addressof(buffer)
    )
    # Without a filter, as outside Linux, a few connections may be reset.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
    sock.close()


def socket_url(sock: socket.socket) -> str:
    """Return the URL of a listening socket, without a trailing slash."""
    address, port = sock.getsockname()[:2]
    host = f'[{address}]' if ':' in address else address
    return f'http://{host}:{port}'


class HttpServer:
    """Serves a WSGI application on a listening socket."""

    def __init__(
        self,
        application: WSGIApplication,
        sock: socket.socket,
        threads: int,
        body_limit: int,
        error_body: ErrorBody,
    ) -> None:
        """Keep a body up to ``body_limit`` bytes in memory, stream others.

        The application refuses a body that it does not want; see
        ``http_channel``. ``error_body`` makes the document of an error that
        the application does not see: the request is no valid HTTP.
        """
        self._channels: dict[int, wasyncore.dispatcher] = {}
        self._server = http_listener.Server(
            application,
            sock,
            self._channels,
            threads,
            body_limit,
            error_body,
        )
        self._loop = Loop(
            'http',
            lambda: self._poll(1.0),
            self._server.pull_trigger,
            TURN_LIMIT,
        )

    def start(self) -> None:
        """Start to serve."""
        self._loop.start()

    def stop(self) -> None:
        """Accept no more connections and finish the requests of others."""
        if self._loop.is_stopping:
            return
        is_listening = not self._loop.is_dead
        self._loop.stop()
        if is_listening:
            self._accept_backlog()
        self._drain()

    def _drain(self) -> None:
        self._close_listener()
        # A request may have arrived that is not read yet.
        self._poll(0)
        until = clock.monotonic() + _DRAIN_SECONDS
        while self._is_busy() and clock.monotonic() < until:
            self._poll(0.05)
        self._server.task_dispatcher.shutdown(timeout=1)
        wasyncore.close_all(self._channels)

    def _accept_backlog(self) -> None:
        """Accept the connections in the backlog of the kernel."""
        known = -1
        # Without a free file the kernel resets the rest.
        with contextlib.suppress(OSError):
            while len(self._channels) != known:
                known = len(self._channels)
                self._server.handle_accept()

    def _close_listener(self) -> None:
        # Only the listening socket: the threads still need the trigger.
        wasyncore.dispatcher.close(self._server)

    def _poll(self, timeout: float) -> None:
        wasyncore.loop(timeout, use_poll=True, map=self._channels, count=1)

    def _is_busy(self) -> bool:
        """Tell whether a request or a response is in progress."""
        return any(
            _has_request(channel) or channel.total_outbufs_len
            for channel in self._channels.values()
            if isinstance(channel, HTTPChannel)
        )


def _has_request(channel: HTTPChannel) -> bool:
    """Tell whether a request is queued, incomplete or about to arrive."""
    if channel.requests or channel.request is not None:
        return True
    # waitress uses the time of day.
    age = clock.now().timestamp() - channel.creation_time
    silent = channel.last_activity == channel.creation_time
    return bool(
        silent and channel.connected and 0 <= age < _FIRST_REQUEST_SECONDS
    )
