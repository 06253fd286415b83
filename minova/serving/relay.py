# SPDX-License-Identifier: Apache-2.0
"""A relay between two sockets, in one thread.

A TLS socket must not be used by two threads at a time: OpenSSL locks nothing.
One thread therefore serves both directions.
"""

import contextlib
import select
import socket
import ssl
from typing import Final

from minova import clock

_CHUNK_BYTES: Final = 65536
#: Seconds for which an end may accept no data that waits for it.
STALL_TIMEOUT: Final = 20.0
#: Seconds of silence after which the kernel probes the peer, seconds between
#: two probes, and the number of probes without an answer.
_KEEPALIVE: Final = (
    (socket.TCP_KEEPIDLE, 30),
    (socket.TCP_KEEPINTVL, 10),
    (socket.TCP_KEEPCNT, 3),
)
_WANTS = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError)


def keep_alive(end: socket.socket) -> None:
    """Let the kernel end a TCP connection whose peer has vanished."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        end.setsockopt(socket.IPPROTO_TCP, option, value)


class _Direction:
    """What one end has sent and the other has not accepted."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source = source
        self.sink = sink
        self.pending = b''
        self.is_at_end = False
        #: Since when the other end accepts nothing of what is pending.
        self.stalled_at = 0.0

    def advance(self) -> bool:
        """Receive or send what is possible; return whether data moved."""
        try:
            if self.pending:
                sent = self.sink.send(self.pending)
                self.pending = self.pending[sent:]
            else:
                self.pending = self.source.recv(_CHUNK_BYTES)
                self.is_at_end = not self.pending
        except _WANTS:
            return False
        self.stalled_at = clock.monotonic()
        return True


def relay(one: socket.socket, other: socket.socket) -> None:
    """Relay data until an end closes, fails or stalls; close neither.

    Data that one end sent before it closed is delivered to the other. An end
    stalls when it accepts nothing for ``STALL_TIMEOUT`` seconds.
    """
    one.setblocking(False)
    other.setblocking(False)
    directions = (_Direction(one, other), _Direction(other, one))
    # The peer of an end that fails learns it from the close of its connection.
    with contextlib.suppress(OSError):
        while not any(each.is_at_end for each in directions):
            # Each of them advances: the sum stops at none.
            has_moved = sum(each.advance() for each in directions) > 0
            waiting = [each.stalled_at for each in directions if each.pending]
            timeout = None
            if waiting:
                timeout = min(waiting) + STALL_TIMEOUT - clock.monotonic()
                if timeout <= 0:
                    return
            if not has_moved:
                _wait(directions, timeout)


def _wait(
    directions: tuple[_Direction, _Direction], timeout: float | None
) -> None:
    """Wait until a direction may advance, at most ``timeout`` seconds."""
    poll = select.poll()
    for inward, outward in (directions, directions[::-1]):
        # Of an end: what it sends is inward, what it gets is outward.
        events = 0 if inward.pending else select.POLLIN
        if outward.pending:
            events |= select.POLLOUT
        if events:
            poll.register(inward.source, events)
    poll.poll(None if timeout is None else max(1.0, timeout * 1000))
