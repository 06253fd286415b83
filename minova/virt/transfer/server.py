# SPDX-License-Identifier: Apache-2.0
"""The destination's HTTPS server.

It has four requests and requires a token for each. A thread serves each
connection; connections above the limit are closed at once.
"""

import contextlib
import dataclasses
import errno
from http import HTTPStatus
import http.server
import re
import socket
import ssl
from typing import Any

import orjson
from oslo_log import log as logging

from minova import clock
from minova.virt.transfer import blocks
from minova.virt.transfer.receiver import Manifest
from minova.virt.transfer.receiver import Receivers
from minova.virt.transfer.receiver import ReceiverStorage
from minova.virt.transfer.receiver import RequestRejected

LOG = logging.getLogger(__name__)

#: The maximum number of connections.
_MAX_CONNECTIONS = 64
#: Seconds after which an idle connection is closed.
_IDLE_TIMEOUT = 60.0
#: Seconds to wait after accept has failed.
_ACCEPT_RETRY_SECONDS = 1.0
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


@dataclasses.dataclass
class _Client:
    """A connection and its thread."""

    socket: ssl.SSLSocket
    thread: clock.Thread | None = None


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
        self._listener = listener
        self._tls = tls
        self._guard = clock.lock()
        self._clients: dict[int, _Client] = {}
        self._count = 0
        self._thread: clock.Thread | None = None

    def start(self) -> None:
        """Start to accept connections."""
        self._thread = clock.spawn('transfers', self._accept)

    def stop(self) -> None:
        """Close all connections; return when no request is running."""
        with contextlib.suppress(OSError):
            # Wakes the thread that accepts.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._thread is not None:
            self._thread.join()
        with self._guard:
            clients = list(self._clients.values())
            for client in clients:
                with contextlib.suppress(OSError):
                    # Below TLS, whose shutdown waits for the client.
                    socket.socket.shutdown(client.socket, socket.SHUT_RDWR)
        for client in clients:
            if client.thread is not None:
                client.thread.join()

    # -- connections ---------------------------------------------------------

    def _accept(self) -> None:
        while True:
            try:
                plain, (address, *_) = self._listener.accept()
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if self._listener.fileno() < 0 or error.errno == errno.EINVAL:
                    # ``stop`` closed the socket.
                    return
                LOG.warning(
                    'Accepting transfer connections failed; retrying: %s',
                    error,
                )
                clock.sleep(_ACCEPT_RETRY_SECONDS)
                continue
            self._serve_client(plain, str(address))

    def _serve_client(self, plain: socket.socket, address: str) -> None:
        """Serve a connection in a thread, below the limit."""
        secured = self._tls.wrap_socket(
            plain, server_side=True, do_handshake_on_connect=False
        )
        with self._guard:
            full = len(self._clients) >= _MAX_CONNECTIONS
            if not full:
                self._count += 1
                number, client = self._count, _Client(secured)
                self._clients[number] = client
        if full:
            LOG.warning(
                'Transfer connection from %s rejected: %d are open, the '
                'maximum',
                address,
                _MAX_CONNECTIONS,
            )
            secured.close()
            return
        client.thread = clock.spawn(
            'transfer', self._serve, number, secured, address
        )

    def _serve(
        self, number: int, secured: ssl.SSLSocket, address: str
    ) -> None:
        try:
            secured.settimeout(_IDLE_TIMEOUT)
            secured.do_handshake()
            # The constructor serves all requests of the connection.
            _Connection(secured, (address, 0), self)  # type: ignore[arg-type]
        except (OSError, ValueError) as error:
            # The client does not speak TLS, or has disconnected.
            LOG.debug('Transfer connection from %s ended: %s', address, error)
        finally:
            with self._guard:
                del self._clients[number]
            secured.close()


class _Connection(http.server.BaseHTTPRequestHandler):
    """The requests of one connection."""

    protocol_version = 'HTTP/1.1'
    # A response is sent at once, in one piece.
    disable_nagle_algorithm = True
    wbufsize = -1
    server: TransferServer  # type: ignore[assignment]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        # The base class writes to stderr. No header is logged.
        LOG.debug('%s: %s', self.client_address[0], format % args)

    def do_PUT(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def _respond(self) -> None:
        try:
            status, answer = HTTPStatus.OK, self._dispatch(self._read())
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
        body = orjson.dumps(answer)
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _read(self) -> bytes:
        """Return the body; a body that is too long ends the connection."""
        length = self.headers.get('Content-Length', '')
        if not length.isdigit() or int(length) > _MAX_BODY:
            self.close_connection = True
            raise RequestRejected(
                413, f'the body has more than {_MAX_BODY} bytes'
            )
        body = self.rfile.read(int(length))
        if len(body) != int(length):
            self.close_connection = True
            raise RequestRejected(
                400, 'the body is shorter than its Content-Length'
            )
        return body

    def _route(self) -> tuple[str, dict[str, str]]:
        for method, pattern, name in _ROUTES:
            match = pattern.fullmatch(self.path)
            if match is not None and method == self.command:
                return name, match.groupdict()
        raise RequestRejected(404, 'unknown request')

    def _dispatch(self, body: bytes) -> dict[str, object]:
        name, given = self._route()
        scheme, _, token = self.headers.get('Authorization', '').partition(' ')
        if scheme != 'Bearer':
            raise RequestRejected(403, 'the request has no token')
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
