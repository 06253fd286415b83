# SPDX-License-Identifier: Apache-2.0
"""The destination's HTTPS server.

It has four requests and requires a token for each, which it checks before it
reads the body. A thread serves each connection from its first request; the
limit of connections counts those with a valid token.
"""

from http import HTTPStatus
import http.server
import io
import re
import socket
import ssl
from typing import Any

import orjson
from oslo_log import log as logging

from minova import clock
from minova.serving.acceptor import Acceptor
from minova.serving.acceptor import Opening
from minova.serving.acceptor import TlsOpening
from minova.virt.transfer import blocks
from minova.virt.transfer.receiver import Manifest
from minova.virt.transfer.receiver import Receivers
from minova.virt.transfer.receiver import ReceiverStorage
from minova.virt.transfer.receiver import RequestRejected

LOG = logging.getLogger(__name__)

#: The maximum number of connections with a valid token.
_MAX_CONNECTIONS = 64
#: Seconds after which an idle connection is closed.
_IDLE_TIMEOUT = 60.0
#: Seconds for the rest of the body of a rejected request.
_DISCARD_TIMEOUT = 2.0
_CHUNK_BYTES = 65536
#: The maximum number of bytes of a body.
_MAX_BODY = blocks.BLOCK_SIZE + blocks.CELL_SIZE

_UUID = r'(?P<uuid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})'
_FILE = r'(?P<kind>files|bases)/(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,199})'
_NUMBER = r'(?P<number>[0-9]{1,18})\?cells=(?P<cells>[0-9a-f]{1,8})'
_ROUTES = tuple(
    (method, re.compile(pattern), name)
    for method, pattern, name in (
        ('PUT', f'/v1/{_UUID}', 'accept_manifest'),
        ('POST', f'/v1/{_UUID}/commit', 'finish'),
        ('POST', f'/v1/{_UUID}/{_FILE}/compare', 'compare'),
        ('PUT', f'/v1/{_UUID}/{_FILE}/blocks/{_NUMBER}', 'write'),
    )
)


class TransferServer:
    """The server of one host.

    ``listener`` is the listening socket; ``tls`` has the certificate.
    """

    def __init__(
        self,
        storage: ReceiverStorage,
        listener: socket.socket,
        tls: ssl.SSLContext,
    ) -> None:
        self.receivers = Receivers(storage)
        #: The port of the listening socket.
        self.port = int(listener.getsockname()[1])
        self._guard = clock.lock()
        self._authorized: set[socket.socket] = set()
        self._acceptor = Acceptor(
            'transfers',
            listener,
            lambda plain: TlsOpening(plain, tls),
            self._serve,
        )

    def start(self) -> None:
        """Start to accept connections."""
        self._acceptor.start()

    def stop(self) -> None:
        """Close all connections; return when no request is running."""
        self._acceptor.stop_accepting()
        self._acceptor.close_connections()

    def count_authorized(self, secured: socket.socket) -> None:
        """Count a connection whose request has a valid token.

        Raises RequestRejected when the maximum of them is open.
        """
        with self._guard:
            if secured in self._authorized:
                return
            if len(self._authorized) >= _MAX_CONNECTIONS:
                raise RequestRejected(
                    503, f'{_MAX_CONNECTIONS} transfer connections are open'
                )
            self._authorized.add(secured)
        self._acceptor.trust(secured)

    def _serve(self, opening: Opening, address: str) -> None:
        assert isinstance(opening, TlsOpening)
        secured = opening.socket
        secured.settimeout(_IDLE_TIMEOUT)
        try:
            # The constructor serves all requests of the connection.
            _Connection(opening, (address, 0), self)  # type: ignore[arg-type]
        finally:
            with self._guard:
                self._authorized.discard(secured)


class _OpenedStream(io.RawIOBase):
    """What a client sends, from its first byte."""

    def __init__(self, opening: TlsOpening) -> None:
        super().__init__()
        self._head = opening.head
        self._secured = opening.socket

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        view = memoryview(buffer)
        if not self._head:
            return self._secured.recv_into(view)
        taken, self._head = self._head[: len(view)], self._head[len(view) :]
        view[: len(taken)] = taken
        return len(taken)


class _Connection(http.server.BaseHTTPRequestHandler):
    """The requests of one connection."""

    protocol_version = 'HTTP/1.1'
    # A response is sent at once, in one piece.
    disable_nagle_algorithm = True
    wbufsize = -1
    request: TlsOpening
    server: TransferServer  # type: ignore[assignment]

    def setup(self) -> None:
        opening = self.request
        # The base class makes its files from the socket.
        self.request = opening.socket  # type: ignore[assignment]
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(_OpenedStream(opening))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        # The base class writes to stderr. No header is logged.
        LOG.debug('%s: %s', self.client_address[0], format % args)

    def do_PUT(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def _respond(self) -> None:
        self._is_body_unread = True
        try:
            status, answer = HTTPStatus.OK, self._dispatch()
        except RequestRejected as refusal:
            status, answer = HTTPStatus(refusal.status), _error(refusal)
        except OSError as error:
            LOG.warning('Transfer request failed: %s', error)
            status = HTTPStatus.INSUFFICIENT_STORAGE
            answer = _error(error)
        except Exception as error:
            LOG.exception('Transfer request failed unexpectedly')
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            answer = _error(error)
        self._send(status, orjson.dumps(answer))
        if self._is_body_unread:
            self.close_connection = True
            self._discard_body()

    def _send(self, status: HTTPStatus, body: bytes) -> None:
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        if self._is_body_unread:
            self.send_header('Connection', 'close')
        self.end_headers()
        self.wfile.write(body)

    def _read(self) -> bytes:
        """Return the body."""
        length = self._length()
        if length is None:
            raise RequestRejected(
                413, f'the body has more than {_MAX_BODY} bytes'
            )
        body = self.rfile.read(length)
        if len(body) != length:
            raise RequestRejected(
                400, 'the body is shorter than its Content-Length'
            )
        self._is_body_unread = False
        return body

    def _length(self) -> int | None:
        """Return the length of the body, None if it is not acceptable."""
        length = self.headers.get('Content-Length', '')
        if not length.isdigit() or int(length) > _MAX_BODY:
            return None
        return int(length)

    def _discard_body(self) -> None:
        """Read an unread body, so that the client can read the response."""
        self.connection.settimeout(_DISCARD_TIMEOUT)
        left = self._length() or 0
        while left and (chunk := self.rfile.read(min(left, _CHUNK_BYTES))):
            left -= len(chunk)

    def _route(self) -> tuple[str, dict[str, str]]:
        for method, pattern, name in _ROUTES:
            match = pattern.fullmatch(self.path)
            if match is not None and method == self.command:
                return name, match.groupdict()
        raise RequestRejected(404, 'unknown request')

    def _dispatch(self) -> dict[str, object]:
        name, given = self._route()
        scheme, _, token = self.headers.get('Authorization', '').partition(' ')
        if scheme != 'Bearer':
            raise RequestRejected(403, 'the request has no token')
        # Before the body is read.
        self.server.receivers.check_token(given['uuid'], token)
        self.server.count_authorized(self.connection)
        body = self._read()
        with self.server.receivers.authorize(given['uuid'], token) as receiver:
            if name == 'accept_manifest':
                manifest = Manifest.parse(_json(body))
                return {'arrived': receiver.accept_manifest(manifest)}
            if name == 'finish':
                return {'missing': receiver.finish()}
            kind, file = given['kind'], given['name']
            if name == 'compare':
                first, digests = _digests(_json(body))
                differ = receiver.compare(kind, file, first, digests)
                return {'differ': differ}
            number, cells = int(given['number']), int(given['cells'], 16)
            receiver.write(kind, file, number, cells, body)
            return {}


def _digests(form: Any) -> tuple[int, list[str]]:
    try:
        return int(form['first']), [str(one) for one in form['digests']]
    except (KeyError, TypeError, ValueError) as error:
        raise RequestRejected(400, f'invalid digests: {error!r}') from error


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestRejected(400, f'the body is not JSON: {error}') from error


def _error(error: Exception) -> dict[str, object]:
    return {'error': str(error)}
