# SPDX-License-Identifier: Apache-2.0
"""The destination's end of transfers: a small server, over TLS alone.

It knows four requests and answers nobody without a token. A connection is
served by a thread of its own, and only so many at a time: who comes then is
told to come again.
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
from minova.virt.transfer.receiver import Receivers
from minova.virt.transfer.receiver import ReceiverStorage
from minova.virt.transfer.receiver import RequestRejected

LOG = logging.getLogger(__name__)

#: Connections that are served at a time.
_MAX_CONNECTIONS = 64
#: Seconds for which one that says nothing is kept.
_IDLE_TIMEOUT = 60.0
#: Seconds before another one is accepted when that has failed.
_ACCEPT_RETRY_SECONDS = 1.0
#: Bytes of the largest body.
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
    """Somebody who is connected."""

    socket: ssl.SSLSocket
    thread: clock.Thread | None = None


class TransferServer:
    """Receives what comes for a place.

    ``bound`` is the listening socket; ``tls`` has the certificate.
    """

    def __init__(
        self,
        storage: ReceiverStorage,
        listener: socket.socket,
        tls: ssl.SSLContext,
    ) -> None:
        self.receivers = Receivers(storage)
        #: The port at which it listens.
        self.port = int(listener.getsockname()[1])
        self._listener = listener
        self._tls = tls
        self._guard = clock.lock()
        self._clients: dict[int, _Client] = {}
        self._count = 0
        self._thread: clock.Thread | None = None

    def start(self) -> None:
        """Begin to answer."""
        self._thread = clock.spawn('transfers', self._accept)

    def stop(self) -> None:
        """Hang up on everybody; return when nothing is being done."""
        with contextlib.suppress(OSError):
            # Wakes whoever waits for the next one.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._thread is not None:
            self._thread.join()
        with self._guard:
            clients = list(self._clients.values())
            for client in clients:
                with contextlib.suppress(OSError):
                    # Below TLS, which would wait for the other side.
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
                    # It was shut by ``stop``.
                    return
                LOG.warning('No transfer can be accepted: %s', error)
                clock.sleep(_ACCEPT_RETRY_SECONDS)
                continue
            self._serve_client(plain, str(address))

    def _serve_client(self, plain: socket.socket, address: str) -> None:
        """Serve a connection beside the others, if there are not too many."""
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
                '%d transfers at a time: one is sent away.', _MAX_CONNECTIONS
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
            # It answers all requests of the connection where it is made.
            _Connection(secured, (address, 0), self)  # type: ignore[arg-type]
        except (OSError, ValueError) as error:
            # As one that does not know TLS, or has gone.
            LOG.debug('A transfer from %s: %s', address, error)
        finally:
            with self._guard:
                del self._clients[number]
            secured.close()


class _Connection(http.server.BaseHTTPRequestHandler):
    """The requests of one connection."""

    protocol_version = 'HTTP/1.1'
    # An answer goes out at once, and as one.
    disable_nagle_algorithm = True
    wbufsize = -1
    server: TransferServer  # type: ignore[assignment]

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        # The base class has it on stderr; no header is in it.
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
            LOG.warning('A transfer failed here: %s', error)
            status = HTTPStatus.INSUFFICIENT_STORAGE
            answer = _error(error)
        except Exception as error:
            LOG.exception('A transfer broke')
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            answer = _error(error)
        body = orjson.dumps(answer)
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _read(self) -> bytes:
        """Return the body; one that is too long ends the connection."""
        length = self.headers.get('Content-Length', '')
        if not length.isdigit() or int(length) > _MAX_BODY:
            self.close_connection = True
            raise RequestRejected(413, f'a body has at most {_MAX_BODY} bytes')
        body = self.rfile.read(int(length))
        if len(body) != int(length):
            self.close_connection = True
            raise RequestRejected(400, 'the body was cut off')
        return body

    def _route(self) -> tuple[str, dict[str, str]]:
        for method, pattern, name in _ROUTES:
            match = pattern.fullmatch(self.path)
            if match is not None and method == self.command:
                return name, match.groupdict()
        raise RequestRejected(404, 'there is no such request')

    def _dispatch(self, body: bytes) -> Any:
        name, given = self._route()
        scheme, _, token = self.headers.get('Authorization', '').partition(' ')
        if scheme != 'Bearer':
            raise RequestRejected(403, 'no token is given')
        with self.server.receivers.authorize(given['uuid'], token) as receiver:
            if name == 'accept_manifest':
                return receiver.accept_manifest(_json(body))
            if name == 'finish':
                return receiver.finish()
            kind, file = given['kind'], given['name']
            if name == 'compare':
                return receiver.compare(kind, file, _json(body))
            number, cells = int(given['number']), int(given['cells'], 16)
            return receiver.write(kind, file, number, cells, body)


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestRejected(400, f'this is no JSON: {error}') from error


def _error(error: Exception) -> dict[str, str]:
    return {'error': str(error)}
