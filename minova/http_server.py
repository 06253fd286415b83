# SPDX-License-Identifier: Apache-2.0
"""Serving HTTP in a process of ours: waitress under the verbs of a service.

The socket is opened by the master, so that a port that is taken is said at
once and several workers can share it.
"""

from collections.abc import Callable
import contextlib
import ctypes
import socket
import struct
from typing import Any

from waitress import server as waitress_server
from waitress import wasyncore
from waitress.channel import HTTPChannel

from minova import clock
from minova import exception

#: Seconds in which requests under way may end when the service stops.
_DRAIN_SECONDS = 20.0
#: Seconds in which one who has just connected sends a request.
_FIRST_REQUEST_SECONDS = 2.0

#: Linux's SO_ATTACH_FILTER, which the socket module does not name.
_ATTACH_FILTER = 26
#: A filter of what arrives for a listening socket, as socket(7) and the
#: kernel's networking/filter.rst describe it: code, jumps if true and if
#: false, operand. It drops every request for a new connection.
_DROP_SYN_FILTER = (
    (0x30, 0, 0, 13),  # load the byte with TCP's flags
    (0x45, 0, 1, 0x02),  # is SYN among them?
    (0x06, 0, 0, 0),  # then drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # else take all of it
)


def listen(
    address: str,
    port: int,
    options: str = '[api] osapi_compute_listen and osapi_compute_listen_port',
) -> socket.socket:
    """Return a listening socket; ConfigInvalid when that cannot be.

    ``options`` are those that say where, for the text of the error.
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
            f'see {options}'
        ) from error
    sock.listen(1024)
    return sock


def refuse_connections(sock: socket.socket) -> None:
    """Have connections refused as soon as the workers listen no more.

    For the master, when all its workers are about to end: it has the socket
    open too, and who connects meanwhile would wait for nobody. A balancer that
    is refused asks another api. Who is connected already is answered.

    From now on the kernel completes no connection which a worker might not
    see before it closes the socket, and which would be reset then. Who asks
    for one is not answered, asks again after a second, and is refused, or
    connected to the next start.
    """
    code = b''.join(struct.pack('HBBI', *one) for one in _DROP_SYN_FILTER)
    held = ctypes.create_string_buffer(code)
    program = struct.pack('HP', len(_DROP_SYN_FILTER), ctypes.addressof(held))
    # Where no filter can be had, as outside Linux, few are reset, not none.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
    sock.close()


def socket_url(sock: socket.socket) -> str:
    """Return where a listening socket is reached; no slash at the end."""
    address, port = sock.getsockname()[:2]
    host = f'[{address}]' if ':' in address else address
    return f'http://{host}:{port}'


class HttpServer:
    """Answers on a socket with a WSGI application."""

    def __init__(
        self,
        application: Callable[..., Any],
        sock: socket.socket,
        threads: int,
        max_request_body_size: int,
    ) -> None:
        """Cut a body over ``max_request_body_size`` bytes off with a 413."""
        self._channels: dict[int, Any] = {}
        self._server = waitress_server.create_server(
            application,
            map=self._channels,
            sockets=[sock],
            threads=threads,
            ident='minova',
            max_request_body_size=max_request_body_size,
            channel_timeout=120,
        )
        self._server.handle_close = self._close_listener
        self._stopping = False
        self._thread: clock.Thread | None = None

    def start(self) -> None:
        """Begin to answer."""
        self._thread = clock.spawn('http', self._run)

    def stop(self) -> None:
        """Accept nothing more; answer whoever is connected and asks."""
        if not self._stopping:
            self._stopping = True
            self._server.pull_trigger()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping:
            self._poll(1.0)
        self._accept_backlog()
        self._close_listener()
        # What has been sent and not been read is a request, too.
        self._poll(0)
        until = clock.monotonic() + _DRAIN_SECONDS
        while self._is_busy() and clock.monotonic() < until:
            self._poll(0.05)
        self._server.task_dispatcher.shutdown(timeout=1)
        wasyncore.close_all(self._channels)

    def _accept_backlog(self) -> None:
        """Accept those whom the kernel has let in and nobody has accepted."""
        known = -1
        while len(self._channels) != known:
            known = len(self._channels)
            self._server.handle_accept()

    def _close_listener(self) -> None:
        # The listening socket alone: the workers still need the trigger.
        wasyncore.dispatcher.close(self._server)

    def _poll(self, timeout: float) -> None:
        wasyncore.loop(timeout, use_poll=True, map=self._channels, count=1)

    def _is_busy(self) -> bool:
        """Tell whether somebody asks, or is being answered."""
        return any(
            _has_request(channel) or channel.total_outbufs_len
            for channel in self._channels.values()
            if isinstance(channel, HTTPChannel)
        )


def _has_request(channel: HTTPChannel) -> bool:
    """Tell whether a request has come, is coming, or will come at once."""
    if channel.requests or channel.request is not None:
        return True
    # It tells by the time of day.
    age = clock.now().timestamp() - channel.creation_time
    silent = channel.last_activity == channel.creation_time
    return bool(
        silent and channel.connected and 0 <= age < _FIRST_REQUEST_SECONDS
    )
