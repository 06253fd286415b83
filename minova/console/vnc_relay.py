# SPDX-License-Identifier: Apache-2.0
"""One connection between a browser's websocket and a guest's VNC server.

Each direction has a thread, and the end that closes ends both. An end that
accepts no data for a while is disconnected, so that it blocks no thread.
"""

from collections.abc import Mapping
import contextlib
import dataclasses
import socket
import struct
from typing import Final

from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.sync.server import ServerConnection

from minova import clock

_CHUNK_BYTES: Final = 65536
#: The option SO_SNDTIMEO: in 20 seconds an end must accept some of the data.
SEND_TIMEOUT: Final = struct.pack('ll', 20, 0)
#: Seconds for which a browser may delay the end of a connection.
_CLOSE_TIMEOUT: Final = 2.0


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """The console of a token: its instance and the address of its VNC server.

    The address is a Unix socket, or host and port. ``compute`` is the host of
    the instance, ``machine`` the only machine that reaches the address, None
    for any.
    """

    instance_uuid: str
    compute: str
    machine: str | None
    socket: str | None
    host: str | None
    port: int | None

    @classmethod
    def from_reply(cls, reply: Mapping[str, str | int | None]) -> 'Endpoint':
        """Return the endpoint in a reply of ``check_console``."""
        port = reply['port']
        return cls(
            instance_uuid=str(reply['instance_uuid']),
            compute=str(reply['compute']),
            machine=_text(reply['machine']),
            socket=_text(reply['socket']),
            host=_text(reply['host']),
            port=None if port is None else int(port),
        )


def _text(value: str | int | None) -> str | None:
    return None if value is None else str(value)


def connect(endpoint: Endpoint, timeout: float) -> socket.socket:
    """Return a connection to the VNC server of ``endpoint``, or OSError."""
    if endpoint.socket is not None:
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(timeout)
        try:
            made.connect(endpoint.socket)
        except OSError:
            made.close()
            raise
    else:
        address = (endpoint.host, endpoint.port)
        made = socket.create_connection(address, timeout)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.settimeout(None)
    return made


class VncRelay:
    """Relays data between a websocket and a guest until one end closes."""

    def __init__(
        self, browser: ServerConnection, guest: socket.socket
    ) -> None:
        self._browser = browser
        self._guest = guest
        for end in (browser.socket, guest):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, SEND_TIMEOUT)

    def run(self) -> None:
        """Relay until one end closes; both are closed afterwards."""
        copier = clock.spawn('vnc-guest', self._copy_from_guest)
        try:
            self._copy_to_guest()
        finally:
            self._shutdown_guest()
            copier.join()
            self._guest.close()

    def close(self, code: int, reason: str) -> None:
        """Close both ends, the browser's with a reason; from any thread."""
        closing = clock.spawn('vnc-close', self._browser.close, code, reason)
        closing.join(_CLOSE_TIMEOUT)
        # The close waits for a browser that does not reply.
        with contextlib.suppress(OSError):
            self._browser.socket.shutdown(socket.SHUT_RDWR)
        self._shutdown_guest()

    def _copy_to_guest(self) -> None:
        with contextlib.suppress(ConnectionClosed, OSError):
            while True:
                message = self._browser.recv()
                if isinstance(message, str):
                    self._browser.close(
                        CloseCode.UNSUPPORTED_DATA, 'VNC is binary'
                    )
                    return
                self._guest.sendall(message)

    def _copy_from_guest(self) -> None:
        with contextlib.suppress(ConnectionClosed, OSError):
            while chunk := self._guest.recv(_CHUNK_BYTES):
                self._browser.send(chunk)
        self._browser.close(
            CloseCode.NORMAL_CLOSURE, 'the guest closed the connection'
        )

    def _shutdown_guest(self) -> None:
        with contextlib.suppress(OSError):
            self._guest.shutdown(socket.SHUT_RDWR)
