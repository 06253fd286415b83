# SPDX-License-Identifier: Apache-2.0
"""The destination's end of transfers: a small server, over TLS alone.

It knows four requests and answers nobody without a token. A connection is
served by a thread of its own, and only so many at a time: who comes then is
told to come again.
"""

import contextlib
import dataclasses
from http import HTTPStatus
import http.server
import re
import socket
import socketserver
import ssl
from typing import Any

import orjson
from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.virt.transfer import ranges
from minova.virt.transfer.reception import Place
from minova.virt.transfer.reception import Receptions
from minova.virt.transfer.reception import Refusal

LOG = logging.getLogger(__name__)

#: Connections that are served at a time.
_AT_ONCE = 64
#: Seconds for which one that says nothing is kept.
_SILENCE = 60.0
#: Bytes of the largest body.
_LARGEST = ranges.BLOCK + ranges.CELL

_UUID = r'(?P<uuid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})'
_FILE = r'(?P<kind>files|bases)/(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,199})'
_NUMBER = r'(?P<number>[0-9]{1,18})\?cells=(?P<cells>[0-9a-f]{1,8})'
_PATHS = tuple(
    (method, re.compile(pattern), name)
    for method, pattern, name in (
        ('PUT', f'/v1/{_UUID}', 'plan'),
        ('POST', f'/v1/{_UUID}/whole', 'finish'),
        ('POST', f'/v1/{_UUID}/{_FILE}/compare', 'compare'),
        ('PUT', f'/v1/{_UUID}/{_FILE}/blocks/{_NUMBER}', 'write'),
    )
)


class TransferServer:
    """Receives what comes for a place.

    ``tls`` has the certificate; ``bound`` is the listening socket.
    """

    def __init__(
        self, place: Place, bound: socket.socket, tls: ssl.SSLContext
    ) -> None:
        self._server = _Server(bound, tls, Receptions(place))
        self._thread: clock.Thread | None = None

    @property
    def port(self) -> int:
        """The port at which it listens."""
        return int(self._server.socket.getsockname()[1])

    def start(self) -> None:
        """Begin to answer."""
        self._thread = clock.spawn('transfers', self._server.serve_forever)

    def stop(self) -> None:
        """Hang up on everybody; return when nothing is being done."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._server.hang_up()


class _Server(socketserver.TCPServer):
    """Connections, each with a thread."""

    def __init__(
        self,
        bound: socket.socket,
        tls: ssl.SSLContext,
        receptions: Receptions,
    ) -> None:
        super().__init__(
            bound.getsockname()[:2], _Connection, bind_and_activate=False
        )
        # The one that it has made itself knows neither family nor port.
        self.socket.close()
        self.socket = bound
        self.tls = tls
        self.receptions = receptions
        self._guard = clock.lock()
        #: Who is connected, by the thread's own number.
        self._open: dict[int, _Caller] = {}
        self._count = 0

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection beside the others."""
        # The name of TLS is on it before anybody else may look: afterwards
        # the plain socket is nobody's.
        secured = self.tls.wrap_socket(
            request, server_side=True, do_handshake_on_connect=False
        )
        with self._guard:
            full = len(self._open) >= _AT_ONCE
            if not full:
                self._count += 1
                number, caller = self._count, _Caller(secured)
                self._open[number] = caller
        if full:
            LOG.warning('%d transfers at a time: one is sent away.', _AT_ONCE)
            secured.close()
            return
        caller.thread = clock.spawn(
            'transfer', self._serve, number, secured, client_address
        )

    def _serve(
        self, number: int, secured: ssl.SSLSocket, client_address: Any
    ) -> None:
        try:
            secured.settimeout(_SILENCE)
            secured.do_handshake()
            self.finish_request(secured, client_address)
        except OSError as error:
            # As one that does not know TLS, or has gone.
            LOG.debug('A transfer from %s: %s', client_address[0], error)
        finally:
            with self._guard:
                del self._open[number]
            secured.close()

    def hang_up(self) -> None:
        """End all connections; return when their threads have ended."""
        with self._guard:
            callers = list(self._open.values())
            for caller in callers:
                with contextlib.suppress(OSError):
                    # Below TLS, which would wait for the other side.
                    socket.socket.shutdown(caller.socket, socket.SHUT_RDWR)
        for caller in callers:
            if caller.thread is not None:
                caller.thread.join()


@dataclasses.dataclass
class _Caller:
    """Somebody who is connected."""

    socket: ssl.SSLSocket
    thread: clock.Thread | None = None


class _Connection(http.server.BaseHTTPRequestHandler):
    """The requests of one connection."""

    protocol_version = 'HTTP/1.1'
    # An answer goes out at once, and as one.
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        # The base class has it on stderr; no header is in it.
        LOG.debug('%s: %s', self.client_address[0], format % args)

    def do_PUT(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        try:
            status, answer = HTTPStatus.OK, self._ask(self._read())
        except Refusal as refusal:
            status, answer = HTTPStatus(refusal.status), _error(refusal)
        except OSError as error:
            LOG.warning('A transfer failed here: %s', error)
            status = HTTPStatus.INSUFFICIENT_STORAGE
            answer = _error(error)
        except exception.MinovaException as error:
            LOG.warning('A transfer failed here: %s', error)
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
        if not length.isdigit() or int(length) > _LARGEST:
            self.close_connection = True
            raise Refusal(413, f'a body has at most {_LARGEST} bytes')
        body = self.rfile.read(int(length))
        if len(body) != int(length):
            self.close_connection = True
            raise Refusal(400, 'the body was cut off')
        return body

    def _understand(self) -> tuple[str, dict[str, str]]:
        for method, pattern, name in _PATHS:
            match = pattern.fullmatch(self.path)
            if match is not None and method == self.command:
                return name, match.groupdict()
        raise Refusal(404, 'there is no such request')

    def _ask(self, body: bytes) -> Any:
        name, given = self._understand()
        scheme, _, token = self.headers.get('Authorization', '').partition(' ')
        if scheme != 'Bearer':
            raise Refusal(403, 'no token is given')
        with self.server.receptions.admit(given['uuid'], token) as reception:
            if name == 'plan':
                return reception.plan(_json(body))
            if name == 'finish':
                return reception.finish()
            kind, file = given['kind'], given['name']
            if name == 'compare':
                return reception.compare(kind, file, _json(body))
            number, cells = int(given['number']), int(given['cells'], 16)
            return reception.write(kind, file, number, cells, body)


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f'this is no JSON: {error}') from error


def _error(error: Exception) -> dict[str, str]:
    return {'error': str(error)}
