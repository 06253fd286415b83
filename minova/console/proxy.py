# SPDX-License-Identifier: Apache-2.0
"""A server of noVNC's pages and of websockets that lead to guests' screens.

It is made of the threaded server of the library ``websockets``. websockify,
which is what noVNC is mostly used with, forks a process for each connection:
that does not go with a worker that has threads and a message bus, and it
brings numpy, redis and more.

A websocket's request is answered in this order: is the page it comes from one
of ours; is there a token; what does a conductor say of it; is the screen at an
address that leads there from this machine. Only then the handshake is made and
the guest connected to. What is refused gets an HTTP status and a sentence. A
token is never logged.
"""

from collections.abc import Iterable
import http
from typing import Any
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
from minova.console import novnc_files
from minova.console import origins
from minova.console.vnc_relay import connect
from minova.console.vnc_relay import VncRelay
from minova.context import get_admin_context
from minova.periodic import PeriodicTask
from minova.rpc.conductor import Conductor

LOG = logging.getLogger(__name__)

#: What older clients name, and the only thing VNC can be.
_BINARY: Final = Subprotocol('binary')
#: Seconds in which a browser may agree to the end of a connection.
_CLOSE_TIMEOUT: Final = 2.0


class ConsoleConnection(ServerConnection):
    """A connection, and where it was let through to."""

    endpoint: dict[str, Any]


class VncProxy:
    """Serves pages and screens on a socket that listens."""

    def __init__(self, bound: Any, conductor: Conductor) -> None:
        self._conductor = conductor
        self._lock = clock.lock()
        self._relays: dict[VncRelay, str] = {}
        self._server = websockets_server.serve(
            self._relay_console,
            sock=bound,
            process_request=self._process_request,
            create_connection=ConsoleConnection,
            subprotocols=[_BINARY],
            select_subprotocol=_select_subprotocol,
            # What VNC sends is compressed already.
            compression=None,
            server_header='minova-novncproxy',
            close_timeout=_CLOSE_TIMEOUT,
        )
        self._session_check = PeriodicTask(
            'vnc-watch', self._close_deleted, lambda: CONF.vnc.watch_interval
        )
        self._thread: clock.Thread | None = None

    def start(self) -> None:
        """Begin to answer."""
        self._thread = clock.spawn('novncproxy', self._server.serve_forever)
        self._session_check.start()

    def stop(self) -> None:
        """Accept nobody more, and hang up on everybody."""
        self._session_check.stop()
        _close_all(
            self._open_relays(), CloseCode.GOING_AWAY, 'the proxy is stopped'
        )
        # Those, too, who came meanwhile.
        self._server.shutdown()
        if self._thread is not None:
            self._thread.join()

    # -- who is let in -------------------------------------------------------

    def _process_request(
        self, connection: ServerConnection, request: Request
    ) -> Response | None:
        """Return the reply to a request, None to let a websocket through."""
        path, _, query = request.path.partition('?')
        if (_header(request, 'Upgrade') or '').lower() != 'websocket':
            return novnc_files.serve(request.method, path)
        origin = _header(request, 'Origin')
        if not origins.is_allowed(origin, _header(request, 'Host')):
            LOG.warning('A page of %s may not connect.', origin)
            return novnc_files.text_response(
                http.HTTPStatus.FORBIDDEN,
                'Pages of this origin may not connect; see [vnc] '
                'allowed_origins.\n',
            )
        if len(self._open_relays()) >= CONF.vnc.max_connections:
            LOG.warning('[vnc] max_connections are connected already.')
            return novnc_files.text_response(
                http.HTTPStatus.SERVICE_UNAVAILABLE,
                'Too many screens are being shown. Try again later.\n',
            )
        tokens = urllib.parse.parse_qs(query).get('token', [''])
        try:
            endpoint = self._conductor.check_console(
                get_admin_context(), token=tokens[0]
            )
        except exception.MinovaException as error:
            return _error_response(error)
        if endpoint['machine'] not in (None, _local_machine(endpoint)):
            LOG.error(
                'The screen of %s listens at %s of its host %s, which leads '
                'elsewhere from here. Set [vnc] server_listen there to an '
                'address that this machine reaches.',
                endpoint['instance_uuid'],
                endpoint['socket'] or endpoint['host'],
                endpoint['compute'],
            )
            return novnc_files.text_response(
                http.HTTPStatus.BAD_GATEWAY,
                'The screen of this server cannot be reached from here.\n',
            )
        assert isinstance(connection, ConsoleConnection)
        connection.endpoint = endpoint
        return None

    # -- those who are -------------------------------------------------------

    def _relay_console(self, connection: ServerConnection) -> None:
        """Show a screen until somebody hangs up."""
        assert isinstance(connection, ConsoleConnection)
        endpoint = connection.endpoint
        uuid = endpoint['instance_uuid']
        try:
            guest = connect(endpoint, CONF.vnc.connect_timeout)
        except OSError as error:
            LOG.warning('The screen of %s cannot be reached: %s', uuid, error)
            connection.close(
                CloseCode.INTERNAL_ERROR, 'the screen cannot be reached'
            )
            return
        relay = VncRelay(connection, guest)
        with self._lock:
            self._relays[relay] = uuid
        LOG.info('The screen of %s is shown.', uuid)
        try:
            relay.run()
        finally:
            with self._lock:
                del self._relays[relay]
            LOG.info('The screen of %s is not shown any more.', uuid)

    def _open_relays(self) -> dict[VncRelay, str]:
        with self._lock:
            return dict(self._relays)

    def _close_deleted(self) -> None:
        """Hang up on those whose instance is gone."""
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


def _close_all(relays: Iterable[VncRelay], code: int, reason: str) -> None:
    """End them side by side: each may wait a moment for its browser."""
    threads = [
        clock.spawn('vnc-end', one.close, code, reason) for one in relays
    ]
    for thread in threads:
        thread.join()


def _select_subprotocol(
    connection: ServerConnection, offered: Any
) -> Subprotocol | None:
    """Agree to the one subprotocol; clients need not name it."""
    return _BINARY if _BINARY in offered else None


def _header(request: Request, name: str) -> str | None:
    """Return a header; of one that is sent twice, all, which fits nothing."""
    return ', '.join(request.headers.get_all(name)) or None


def _local_machine(endpoint: dict[str, Any]) -> str:
    return (
        machine_id.mount_namespace_id()
        if endpoint['socket']
        else machine_id.network_namespace_id()
    )


def _error_response(error: exception.MinovaException) -> Response:
    """Return how a browser is told what a conductor or a host has said."""
    if isinstance(error, exception.ConsoleTokenNotFound):
        return novnc_files.text_response(
            http.HTTPStatus.FORBIDDEN, f'{error}\n'
        )
    if isinstance(error, exception.Refused) and not isinstance(
        error, exception.Unavailable
    ):
        return novnc_files.text_response(
            http.HTTPStatus(error.status), f'{error}\n'
        )
    LOG.warning('A token cannot be checked: %s', error)
    return novnc_files.text_response(
        http.HTTPStatus.SERVICE_UNAVAILABLE,
        'Where the screen is cannot be told at this time. Try again later.\n',
    )
