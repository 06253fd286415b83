# SPDX-License-Identifier: Apache-2.0
"""One connection between a browser's websocket and a guest's console.

Each direction has a thread, and the end that closes ends both. An end that
accepts no data for a while is disconnected, so that it blocks no thread.
"""

import contextlib
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


class ConsoleRelay:
    """Relays data between a websocket and a guest until one end closes."""

    def __init__(
        self,
        browser: ServerConnection,
        guest: socket.socket,
        accepts_text: bool,
    ) -> None:
        """With ``accepts_text`` a text is sent to the guest in UTF-8."""
        self._browser = browser
        self._guest = guest
        self._accepts_text = accepts_text
        for end in (browser.socket, guest):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, SEND_TIMEOUT)

    def run(self) -> None:
        """Relay until one end closes; both are closed afterwards."""
        copier = clock.spawn('console-guest', self._copy_from_guest)
        try:
            self._copy_to_guest()
        finally:
            self._shutdown_guest()
            copier.join()
            self._guest.close()

    def close(self, code: int, reason: str) -> None:
        """Close both ends, the browser's with a reason; from any thread."""
        closing = clock.spawn(
            'console-close', self._browser.close, code, reason
        )
        closing.join(_CLOSE_TIMEOUT)
        # The close waits for a browser that does not reply.
        with contextlib.suppress(OSError):
            self._browser.socket.shutdown(socket.SHUT_RDWR)
        self._shutdown_guest()

    def _copy_to_guest(self) -> None:
        with contextlib.suppress(ConnectionClosed, OSError):
            while True:
                message = self._browser.recv()
                if isinstance(message, bytes):
                    self._guest.sendall(message)
                elif self._accepts_text:
                    self._guest.sendall(message.encode())
                else:
                    self._browser.close(
                        CloseCode.UNSUPPORTED_DATA, 'the console is binary'
                    )
                    return

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
