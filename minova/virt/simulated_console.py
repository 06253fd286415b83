# SPDX-License-Identifier: Apache-2.0
"""The serial console of a simulated guest, which runs no operating system.

The console says so, and then returns what it receives.
"""

import contextlib
import socket
from typing import Final

from minova import clock

_GREETING: Final = (
    'Guest {uuid} is simulated and has no operating system. Its console '
    'returns what it receives.\r\n'
)


def connect(uuid: str) -> socket.socket:
    """Return a connection to the console; it ends when it is closed."""
    ours, theirs = socket.socketpair()
    clock.spawn('simulated-console', _serve, uuid, theirs)
    return ours


def _serve(uuid: str, end: socket.socket) -> None:
    with contextlib.suppress(OSError), end:
        end.sendall(_GREETING.format(uuid=uuid).encode())
        while received := end.recv(65536):
            end.sendall(received)
