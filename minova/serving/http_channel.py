# SPDX-License-Identifier: Apache-2.0
"""The connections of the HTTP server: their bodies and deadlines.

waitress reads a complete request, on disk if it is large, before the
application sees it. Here the application is asked first, from the headers, if
the body is not there with them (``http_admission``). A body up to the limit is
then kept in memory, within a deadline. A larger one is *streamed*: the
application runs while the body arrives. It refuses the body, except that of an
image.
"""

from collections.abc import Callable
import contextlib
import io
import json
import socket
from typing import Any
from typing import Final

from oslo_log import log as logging
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import ErrorTask
from waitress.task import WSGITask
from waitress.utilities import BadRequest
from waitress.utilities import Error

from minova import clock
from minova.conf import CONF
from minova.serving import http_admission
from minova.serving.http_admission import Admission
from minova.serving.request_body import RequestBody

LOG = logging.getLogger(__name__)

#: Seconds in which a client accepts some of a response.
_SEND_TIMEOUT: Final = 30.0
#: Seconds for which a refused body is discarded, so that the client can read
#: the response.
_LINGER_SECONDS: Final = 2.0
#: The maximum size of the line before a chunk, and of a trailer.
_MAX_CHUNK_LINE: Final = 4096

#: The maximum of characters in the text of an error.
_MAX_ERROR: Final = 255

#: Where the body of a request is.
_HEAD: Final = 'head'
_ASKING: Final = 'asking'
_BUFFERED: Final = 'buffered'
_WAITING: Final = 'waiting'
_DISPATCHED: Final = 'dispatched'


#: Makes the document of an error from a status and a text.
ErrorBody = Callable[[int, str], dict[str, object]]


class _RequestTimeout(Error):
    """The body of a request has not arrived in time."""

    code = 408
    reason = 'Request Timeout'


class RequestParser(HTTPRequestParser):
    """A request whose body is a RequestBody."""

    #: The body; None for a request without one.
    body: RequestBody | None = None
    #: Where the body is, and since when.
    phase = _HEAD
    phase_began = 0.0
    admission = Admission.REFUSED
    expect_continue: bool
    expects_continue = False
    is_streamed = False

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the headers; prepare to receive the body."""
        super().parse_header(header_plus)
        # The channel answers the expectation when it wants the body.
        self.expects_continue = self.expect_continue
        self.expect_continue = False
        if self.chunked:
            # The length is unknown until the body has arrived.
            self.headers.pop('CONTENT_LENGTH', None)
        if self.body_rcv is not None:
            self.body = RequestBody(CONF.api.body_timeout)
            self.body_rcv.buf = self.body

    def enter(self, phase: str) -> None:
        """Note where the body is from now on."""
        self.phase = phase
        self.phase_began = clock.monotonic()

    def is_too_large(self, limit: int) -> bool:
        """Whether the body has, or announces, more than ``limit`` bytes."""
        received = 0 if self.body is None else len(self.body)
        return bool(max(self.content_length, received) > limit)

    def has_endless_line(self) -> bool:
        """Whether the chunked encoding is abused to fill the memory."""
        return self.chunked and (
            max(len(self.body_rcv.control_line), len(self.body_rcv.trailer))
            > _MAX_CHUNK_LINE
        )


class _Task(WSGITask):
    """A request; an unread body ends its connection."""

    def build_response_header(self) -> bytes:
        """Return the head of the response."""
        if not self.request.completed or self.request.error:
            self.channel.lingers = True
            self.set_close_on_finish()
        head: bytes = super().build_response_header()
        return head


class _ErrorTask(ErrorTask):
    """A request that is no valid HTTP, or came too late."""

    def execute(self) -> None:
        """Reply with an error in the form of the application."""
        error = self.request.error
        text = f'{error.reason}: {error.body}'[:_MAX_ERROR]
        document = self.channel.server.error_body(error.code, text)
        body = json.dumps(document).encode()
        self.status = f'{error.code} {error.reason}'
        self.response_headers.append(('Content-Type', 'application/json'))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Question:
    """The question to the application whether a body may be read."""

    def __init__(self, channel: 'Channel', request: RequestParser) -> None:
        self._channel = channel
        self._request = request

    def service(self) -> None:
        """Ask; in a thread of the server."""
        task = _Task(self._channel, self._request)
        environ: dict[str, Any] = {
            **task.get_environment(),
            'wsgi.input': io.BytesIO(),
            http_admission.ASK: True,
        }
        admission = Admission.REFUSED
        try:
            response = self._channel.server.application(environ, _ignore)
            if hasattr(response, 'close'):
                response.close()
            admission = http_admission.read_answer(environ)
        except Exception:
            # The response of the application will be the error.
            LOG.exception('%s failed', self._request.path)
        self._channel.admit(self._request, admission)

    def cancel(self) -> None:
        """Do nothing: the server stops."""


class Channel(HTTPChannel):
    """A connection of a client."""

    parser_class = RequestParser
    task_class = _Task
    error_task_class = _ErrorTask
    #: The request that has not arrived completely.
    request: RequestParser | None
    #: Whether the connection stays for a while after the response.
    lingers = False

    def __init__(
        self,
        server: Any,
        sock: socket.socket,
        addr: tuple[Any, ...],
        adj: Any,
        map: dict[int, Any],  # noqa: A002
    ) -> None:
        self._head_began = clock.monotonic()
        self._has_served = False
        self._lingers_since: float | None = None
        super().__init__(server, sock, addr, adj, map=map)

    # -- the loop ------------------------------------------------------------

    def readable(self) -> bool:
        """Tell whether the loop may read."""
        self.server.count(self)
        if self._lingers_since is not None:
            return True
        request = self.request
        if request is not None:
            if request.phase in (_ASKING, _WAITING):
                return False
            if request.phase == _DISPATCHED:
                is_full = request.body is not None and request.body.is_full
                return not (self.will_close or is_full)
        return bool(super().readable())

    def writable(self) -> bool:
        """Tell whether the loop has something to write, or must close."""
        if self._lingers_since is not None:
            return bool(self.will_close)
        return bool(super().writable())

    @property
    def is_idle(self) -> bool:
        """Whether no request of an authenticated caller is in progress."""
        request = self.request
        return not (
            self.requests
            or self.total_outbufs_len
            or (
                request is not None
                and request.admission is Admission.AUTHENTICATED
            )
        )

    def received(self, data: bytes) -> bool:
        """Parse what has arrived."""
        with self.requests_lock:
            if self.will_close or self.close_when_flushed:
                return False
            while data:
                if self.request is None:
                    self.request = self.parser_class(self.adj)
                    if self._has_served:
                        self._head_began = clock.monotonic()
                data = data[self.request.received(data) :]
                if self.request.completed:
                    self._complete()
            if self.request is not None and self.request.headers_finished:
                self._await_body(self.request)
        return True

    def _complete(self) -> None:
        """Dispatch a complete request, with the lock."""
        request, self.request = self.request, None
        assert request is not None
        if request.body is not None:
            if request.error:
                request.body.fail(request.error.body)
            else:
                request.body.complete()
        if request.phase != _DISPATCHED and not request.empty:
            self._dispatch(request)

    def _dispatch(self, request: RequestParser) -> None:
        self._has_served = True
        request.enter(_DISPATCHED)
        self.requests.append(request)
        # Otherwise the thread of the request before starts this one.
        if len(self.requests) == 1:
            self.server.add_task(self)

    def _await_body(self, request: RequestParser) -> None:
        """Go on with a request whose body is not complete, with the lock."""
        if request.has_endless_line():
            request.error = BadRequest('Invalid chunk')
            request.completed = True
            self._complete()
        elif request.phase == _HEAD:
            request.enter(_ASKING)
            self.server.add_task(_Question(self, request))
        elif request.phase == _BUFFERED:
            self._stream_if_too_large(request)

    def _stream_if_too_large(self, request: RequestParser) -> None:
        if request.is_too_large(self.server.body_limit):
            request.enter(_WAITING)
            self.server.stream_when_free(self)

    def enforce_deadlines(self, now: float, silence: float) -> None:
        """Close the connection, or end its request, if it is overdue.

        ``silence`` is the time since the last activity, in seconds.
        """
        if self._lingers_since is not None:
            if now >= self._lingers_since + _LINGER_SECONDS:
                self.will_close = True
            return
        if self.total_outbufs_len:
            if silence >= _SEND_TIMEOUT:
                self.handle_close()
            return
        request = self.request
        if request is None or request.phase == _HEAD:
            has_begun = request is not None or not self._has_served
            if has_begun and now >= self._head_began + CONF.api.header_timeout:
                self.will_close = True
        elif request.phase == _BUFFERED:
            self._end_overdue(request, now)

    def _end_overdue(self, request: RequestParser, now: float) -> None:
        if now < request.phase_began + CONF.api.body_timeout:
            return
        with self.requests_lock:
            if self.request is request and request.phase == _BUFFERED:
                request.error = _RequestTimeout(
                    'The body has not arrived within [api] body_timeout.'
                )
                request.completed = True
                self._complete()

    def handle_write(self) -> None:
        """Send what is pending; linger, or close, after the last response."""
        if not self.lingers or self.will_close or not self.close_when_flushed:
            super().handle_write()
            return
        _, has_failed = self._flush_exception(self._flush_some)
        if has_failed:
            self.handle_close()
        elif self.connected and not self.total_outbufs_len:
            self._lingers_since = clock.monotonic()
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)

    def _flush_some(self, do_close: bool = True) -> bool:
        """Send what is pending; one thread at a time.

        waitress' loop does not lock while no request runs, but a thread that
        lets a client send its body may be sending then.
        """
        with self.outbuf_lock:
            sent: bool = super()._flush_some(do_close=do_close)
        return sent

    def send(self, data: bytes, do_close: bool = True) -> int:
        """Send data; return how much, 0 if another thread has closed."""
        try:
            sent: int = super().send(data, do_close=do_close)
        except AttributeError:
            if self.socket is not None:
                raise
            return 0
        return sent

    def handle_read(self) -> None:
        """Read; discard what arrives after the last response."""
        if self._lingers_since is None:
            super().handle_read()
            return
        try:
            # At the end of the data this closes the connection.
            self.recv(self.adj.recv_bytes)
        except OSError:
            self.handle_close()

    def handle_close(self) -> None:
        """Close the connection; end the body that a thread reads."""
        request = self.request
        if request is not None and request.body is not None:
            request.body.fail('the client has disconnected')
        self.server.forget(self)
        super().handle_close()

    # -- threads -------------------------------------------------------------

    def admit(self, request: RequestParser, admission: Admission) -> None:
        """Read the body, or answer without it."""
        with self.requests_lock:
            request.admission = admission
            if admission is Admission.REFUSED:
                assert request.body is not None
                request.body.complete()
                request.body.close()
                self._dispatch(request)
            else:
                request.enter(_BUFFERED)
                self._stream_if_too_large(request)
                if request.phase == _BUFFERED:
                    self._send_continue(request)
        self.server.pull_trigger()

    def start_stream(self) -> None:
        """Run the application while the body arrives."""
        with self.requests_lock:
            request = self.request
            assert request is not None and request.body is not None
            request.is_streamed = True
            request.body.on_read = self.server.pull_trigger
            request.body.on_wait = lambda: self._continue_stream(request)
            self._dispatch(request)

    def _continue_stream(self, request: RequestParser) -> None:
        with self.requests_lock:
            self._send_continue(request)

    def _send_continue(self, request: RequestParser) -> None:
        """Let a client that waits for it send the body, with the lock."""
        is_first = not self.requests or self.requests[0] is request
        if request.expects_continue and self.request is request and is_first:
            request.expects_continue = False
            self.send_continue()

    def service(self) -> None:
        """Run the application for the first request."""
        request = self.requests[0]
        try:
            super().service()
        finally:
            if request.body is not None:
                request.body.close()
            if request.is_streamed:
                self.server.end_stream()


def _ignore(
    status: str, headers: list[tuple[str, str]], exc_info: object = None
) -> Callable[[bytes], object]:
    """Ignore the response to a question."""
    return bytes
