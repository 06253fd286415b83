# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 for requests that a library would not send."""

import dataclasses
import http.client
import socket
import time


@dataclasses.dataclass(frozen=True)
class Reply:
    """A reply; status 0 if the server closed the connection without one."""

    status: int
    headers: dict
    body: bytes
    seconds: float


class Connection:
    """Sends one request after the other; opens connections as needed."""

    def __init__(self, address, timeout):
        self._address = address
        self._timeout = timeout
        self._socket = None

    def close(self):
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def send(self, method, data, is_odd=False):
        """Return the reply to bytes; TimeoutError without one in time.

        An odd request has a connection of its own, and its end is announced:
        the server waits for no more.
        """
        if is_odd:
            self.close()
        is_old = self._socket is not None
        began = time.monotonic()
        try:
            found = self._exchange(method, data, is_odd, began)
        except TimeoutError:
            self.close()
            raise
        except (OSError, http.client.HTTPException):
            found = Reply(0, {}, b'', time.monotonic() - began)
        if found.status == 0 or is_odd:
            self.close()
        if found.status == 0 and is_old:
            # The server has closed the connection after the last reply.
            return self.send(method, data, is_odd)
        return found

    def _exchange(self, method, data, is_odd, began):
        if self._socket is None:
            self._socket = socket.create_connection(
                self._address, self._timeout
            )
            self._socket.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY, True
            )
        try:
            self._socket.sendall(data)
            if is_odd:
                self._socket.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            # The reply may be there all the same, e.g. 413.
            pass
        response = http.client.HTTPResponse(self._socket, method=method)
        response.begin()
        body = response.read()
        headers = {
            name.lower(): value for name, value in response.getheaders()
        }
        if response.will_close:
            self.close()
        seconds = time.monotonic() - began
        return Reply(response.status, headers, body, seconds)
