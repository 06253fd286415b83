# SPDX-License-Identifier: Apache-2.0
"""The server of minova-novncproxy: pages of clients, and websockets to guests.

It serves consoles of every type: the token tells the type.

It uses the threaded server of the library ``websockets``. websockify, the
usual choice for noVNC, forks a process for each connection, which is
incompatible with a worker with threads and a message bus, and it needs numpy,
redis and more. A connection gets its threads when its request has arrived
(``acceptor``).

A websocket request passes these checks in order: the origin of its page; the
number of connections; the token, which a conductor validates; whether the
guest's address is reachable from this machine. Then the handshake and the
connection to the guest follow. A refusal has an HTTP status and a text. A
token is never logged.
"""

from collections.abc import Iterable
from collections.abc import Sequence
import http
import socket
from typing import Final
import urllib.parse

from oslo_log import log as logging
from websockets.frames import CloseCode
from websockets.http11 import Request
from websockets.http11 import Response
from websockets.sync import server as websockets_server
from websockets.sync.server import ServerConnection
from websockets.typing import Subprotocol

from minova import clock
from minova import exception
from minova import machine_id
from minova.conf import CONF
from minova.console import client_files
from minova.console import guest_connection
from minova.console import origins
from minova.console.console_relay import ConsoleRelay
from minova.console.console_relay import SEND_TIMEOUT
from minova.console.guest_connection import Endpoint
from minova.context import get_admin_context
from minova.periodic import PeriodicTask
from minova.rpc.conductor import Conductor
from minova.serving.acceptor import Acceptor
from minova.serving.acceptor import Opening
from minova.serving.acceptor import PlainOpening

LOG = logging.getLogger(__name__)

#: The subprotocol of older clients; consoles are always binary.
_BINARY: Final = Subprotocol('binary')
_SERIAL: Final = 'serial'
#: The option with the address of a console, by its type.
_ADDRESS_OPTIONS: Final = {
    'novnc': '[vnc] server_listen',
    'spice-html5': '[vnc] server_listen',
    _SERIAL: '[serial_console] proxyclient_address',
}
#: Seconds for which a browser may delay the end of a connection.
_CLOSE_TIMEOUT: Final = 2.0


class ConsoleConnection(ServerConnection):
    """A connection and its endpoint."""

    endpoint: Endpoint


class ConsoleProxy:
    """Serves pages and consoles on a listening socket."""

    def __init__(self, bound: socket.socket, conductor: Conductor) -> None:
        self._conductor = conductor
        self._lock = clock.lock()
        self._relays: dict[ConsoleRelay, str] = {}
        # Its own loop ends at the first error of the listening socket.
        self._server = websockets_server.serve(
            self._relay_console,
            sock=bound,
            process_request=self._process_request,
            create_connection=ConsoleConnection,
            subprotocols=[_BINARY],
            select_subprotocol=_select_subprotocol,
            # VNC and SPICE compress their data already.
            compression=None,
            server_header='minova-novncproxy',
            close_timeout=_CLOSE_TIMEOUT,
        )
        self._acceptor = Acceptor(
            'novncproxy', bound, PlainOpening, self._serve
        )
        self._session_check = PeriodicTask(
            'console-session-check',
            self._close_deleted,
            lambda: CONF.vnc.watch_interval,
        )

    def start(self) -> None:
        """Start to serve."""
        self._acceptor.start()
        self._session_check.start()

    def stop(self) -> None:
        """Accept no more connections and close the existing ones."""
        self._session_check.stop()
        self._acceptor.stop_accepting()
        # Connections in their handshake get a 503.
        self._server.socket_closed.set()
        _close_all(
            self._open_relays(), CloseCode.GOING_AWAY, 'the proxy is stopped'
        )
        self._acceptor.close_connections()
        self._server.shutdown_watcher.close()
        self._server.shutdown()

    def _serve(self, opening: Opening, address: str) -> None:
        """Serve a connection that has sent a request."""
        opening.socket.setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDTIMEO, SEND_TIMEOUT
        )
        self._server.handler(opening.socket, address)

    # -- checks
    # -----------------------------------------------------------------

    def _process_request(
        self, connection: ServerConnection, request: Request
    ) -> Response | None:
        """Return the reply to a request, or None to accept a websocket."""
        path, _, query = request.path.partition('?')
        if (_header(request, 'Upgrade') or '').lower() != 'websocket':
            return client_files.serve(request.method, path)
        origin = _header(request, 'Origin')
        if not origins.is_allowed(origin, _header(request, 'Host')):
            LOG.warning(
                'Connection refused: origin %s is not in [vnc] '
                'allowed_origins',
                origin,
            )
            return client_files.text_response(
                http.HTTPStatus.FORBIDDEN,
                'Pages of this origin may not connect; see [vnc] '
                'allowed_origins.\n',
            )
        if len(self._open_relays()) >= CONF.vnc.max_connections:
            LOG.warning('Connection refused: [vnc] max_connections is reached')
            return client_files.text_response(
                http.HTTPStatus.SERVICE_UNAVAILABLE,
                'Too many consoles are open. Try again later.\n',
            )
        tokens = urllib.parse.parse_qs(query).get('token', [''])
        try:
            endpoint = Endpoint.from_reply(
                self._conductor.check_console(
                    get_admin_context(), token=tokens[0]
                )
            )
        except exception.MinovaException as error:
            return _error_response(error)
        if endpoint.machine not in (None, _local_machine(endpoint)):
            LOG.error(
                'Console of %s: %s is at %s of host %s, which this machine '
                'cannot reach; set %s on that host to an address that it '
                'reaches',
                endpoint.instance_uuid,
                endpoint.console_type,
                endpoint.socket or endpoint.host,
                endpoint.compute,
                _ADDRESS_OPTIONS[endpoint.console_type],
            )
            return client_files.text_response(
                http.HTTPStatus.BAD_GATEWAY,
                'The proxy cannot reach the console of this server.\n',
            )
        assert isinstance(connection, ConsoleConnection)
        connection.endpoint = endpoint
        return None

    # -- connections
    # ------------------------------------------------------------

    def _relay_console(self, connection: ServerConnection) -> None:
        """Relay a console until one end closes."""
        assert isinstance(connection, ConsoleConnection)
        self._acceptor.trust(connection.socket)
        endpoint = connection.endpoint
        uuid = endpoint.instance_uuid
        try:
            guest = guest_connection.connect(
                endpoint, CONF.vnc.connect_timeout
            )
        except OSError as error:
            LOG.warning('Console of %s: cannot connect: %s', uuid, error)
            connection.close(
                CloseCode.INTERNAL_ERROR, 'the proxy cannot reach the console'
            )
            return
        relay = ConsoleRelay(
            connection, guest, endpoint.console_type == _SERIAL
        )
        with self._lock:
            self._relays[relay] = uuid
        LOG.debug('Console of %s: connected', uuid)
        try:
            relay.run()
        finally:
            with self._lock:
                del self._relays[relay]
            LOG.debug('Console of %s: disconnected', uuid)

    def _open_relays(self) -> dict[ConsoleRelay, str]:
        with self._lock:
            return dict(self._relays)

    def _close_deleted(self) -> None:
        """Close the consoles of deleted instances."""
        shown = self._open_relays()
        if not shown:
            return
        closed = set(
            self._conductor.closed_consoles(
                get_admin_context(), instances=sorted(set(shown.values()))
            )
        )
        _close_all(
            [relay for relay, uuid in shown.items() if uuid in closed],
            CloseCode.POLICY_VIOLATION,
            'the server is deleted',
        )


def _close_all(relays: Iterable[ConsoleRelay], code: int, reason: str) -> None:
    """Close connections in parallel: each may wait for its browser."""
    threads = [
        clock.spawn('console-close', one.close, code, reason) for one in relays
    ]
    for thread in threads:
        thread.join()


def _select_subprotocol(
    connection: ServerConnection, offered: Sequence[Subprotocol]
) -> Subprotocol | None:
    """Accept the only subprotocol; clients may omit it."""
    return _BINARY if _BINARY in offered else None


def _header(request: Request, name: str) -> str | None:
    """Return a header; a repeated one in full, which matches nothing."""
    return ', '.join(request.headers.get_all(name)) or None


def _local_machine(endpoint: Endpoint) -> str:
    return (
        machine_id.mount_namespace_id()
        if endpoint.socket
        else machine_id.network_namespace_id()
    )


def _error_response(error: exception.MinovaException) -> Response:
    """Return the reply for an error of a conductor or a host."""
    if isinstance(error, exception.ConsoleTokenNotFound):
        return client_files.text_response(
            http.HTTPStatus.FORBIDDEN, f'{error}\n'
        )
    if isinstance(error, exception.Refused) and not isinstance(
        error, exception.Unavailable
    ):
        return client_files.text_response(
            http.HTTPStatus(error.status), f'{error}\n'
        )
    LOG.warning('Cannot validate a console token: %s', error)
    return client_files.text_response(
        http.HTTPStatus.SERVICE_UNAVAILABLE,
        'The address of the console is unavailable at this time. Try again '
        'later.\n',
    )
