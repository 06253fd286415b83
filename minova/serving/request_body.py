# SPDX-License-Identifier: Apache-2.0
"""The body of an HTTP request between the server's loop and a thread.

The loop appends what arrives; the thread reads, and waits for more if the body
is streamed. At most ``_CAPACITY`` bytes and one chunk are in memory.
"""

from collections.abc import Callable
import io
from typing import Final

from minova import clock

#: Bytes above which the loop reads no more until the thread has read some.
_CAPACITY: Final = 262144
#: The slowest average rate of a streamed body, in bytes per second.
MIN_RATE: Final = 1024


class RequestBody:
    """A buffer with the interface of those of waitress."""

    def __init__(self, timeout: float) -> None:
        """``timeout`` is the longest pause of the client, in seconds."""
        self._timeout = timeout
        self._guard = clock.lock()
        self._buffer = bytearray()
        self._arrived = clock.event()
        self._is_complete = False
        self._is_closed = False
        self._error = ''
        self._received = 0
        self._waited = 0.0
        #: Called by the thread before it waits, and after it has read from a
        #: full body.
        self.on_wait: Callable[[], object] = _nothing
        self.on_read: Callable[[], object] = _nothing

    # -- the loop ------------------------------------------------------------

    def append(self, data: bytes) -> None:
        """Add what has arrived."""
        with self._guard:
            self._received += len(data)
            if not self._is_closed:
                self._buffer += data
        self._arrived.set()

    def complete(self) -> None:
        """End the body."""
        self._is_complete = True
        self._arrived.set()

    def fail(self, reason: str) -> None:
        """End the body, which lacks a part: its reader gets an OSError."""
        self._error = reason
        self.complete()

    @property
    def is_full(self) -> bool:
        """Whether the loop must not append more."""
        return len(self._buffer) >= _CAPACITY

    def __len__(self) -> int:
        return len(self._buffer)

    # -- the thread ----------------------------------------------------------

    def getfile(self) -> io.BufferedReader:
        """Return a file that ends where the body ends."""
        return io.BufferedReader(_BodyFile(self))

    def close(self) -> None:
        """Discard the body, also what will arrive."""
        with self._guard:
            self._is_closed = True
            self._buffer.clear()

    def read_some(self, size: int) -> bytes:
        """Return at most ``size`` bytes, none at the end; wait for some.

        TimeoutError when the client pauses for too long or is too slow,
        ConnectionError when it has disconnected.
        """
        while not self._buffer and not self._is_complete:
            self.on_wait()
            self._wait()
        with self._guard:
            was_full = self.is_full
            taken = bytes(self._buffer[:size])
            del self._buffer[:size]
        if not taken and self._error:
            raise ConnectionError(self._error)
        if was_full:
            self.on_read()
        return taken

    def _wait(self) -> None:
        began = clock.monotonic()
        self._arrived.clear()
        # Between the check and the clearing of the event some may arrive.
        if self._buffer or self._is_complete:
            return
        if not self._arrived.wait(self._timeout):
            raise TimeoutError(f'nothing arrived for {self._timeout:g} s')
        self._waited += clock.monotonic() - began
        if self._waited > self._timeout + self._received / MIN_RATE:
            raise TimeoutError(
                f'less than {MIN_RATE} bytes arrived per second'
            )


class _BodyFile(io.RawIOBase):
    """A body as a file."""

    def __init__(self, body: RequestBody) -> None:
        super().__init__()
        self._body = body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        taken = self._body.read_some(len(buffer))
        buffer[: len(taken)] = taken
        return len(taken)


def _nothing() -> None:
    """Do nothing."""
