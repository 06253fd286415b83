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
from minova import machine
from minova.conf import CONF
from minova.console import origins
from minova.console import pages
from minova.console.relay import reach
from minova.console.relay import Relay
from minova.context import internal
from minova.loop import Loop
from minova.rpc.conductor import Conductor

LOG = logging.getLogger(__name__)

#: What older clients name, and the only thing VNC can be.
_BINARY: Final = Subprotocol('binary')
#: Seconds in which a browser may agree to the end of a connection.
_CLOSE: Final = 2.0


class Visit(ServerConnection):
    """A connection, and where it was let through to."""

    way: dict[str, Any]


class VncProxy:
    """Serves pages and screens on a socket that listens."""

    def __init__(self, bound: Any, conductor: Conductor) -> None:
        self._conductor = conductor
        self._guard = clock.lock()
        self._relays: dict[Relay, str] = {}
        self._server = websockets_server.serve(
            self._show,
            sock=bound,
            process_request=self._admit,
            create_connection=Visit,
            subprotocols=[_BINARY],
            select_subprotocol=_binary,
            # What VNC sends is compressed already.
            compression=None,
            server_header='minova-novncproxy',
            close_timeout=_CLOSE,
        )
        self._watch = Loop(
            'vnc-watch', self._end_those_over, lambda: CONF.vnc.watch_interval
        )
        self._thread: clock.Thread | None = None

    def start(self) -> None:
        """Begin to answer."""
        self._thread = clock.spawn('novncproxy', self._server.serve_forever)
        self._watch.start()

    def stop(self) -> None:
        """Accept nobody more, and hang up on everybody."""
        self._watch.stop()
        _end(self._open(), CloseCode.GOING_AWAY, 'the proxy is stopped')
        # Those, too, who came meanwhile.
        self._server.shutdown()
        if self._thread is not None:
            self._thread.join()

    # -- who is let in -------------------------------------------------------

    def _admit(
        self, connection: ServerConnection, request: Request
    ) -> Response | None:
        """Return the reply to a request, None to let a websocket through."""
        path, _, query = request.path.partition('?')
        if (_one(request, 'Upgrade') or '').lower() != 'websocket':
            return pages.answer(request.method, path)
        origin = _one(request, 'Origin')
        if not origins.allows(origin, _one(request, 'Host')):
            LOG.warning('A page of %s may not connect.', origin)
            return pages.plain(
                http.HTTPStatus.FORBIDDEN,
                'Pages of this origin may not connect; see [vnc] '
                'allowed_origins.\n',
            )
        if len(self._open()) >= CONF.vnc.max_connections:
            LOG.warning('[vnc] max_connections are connected already.')
            return pages.plain(
                http.HTTPStatus.SERVICE_UNAVAILABLE,
                'Too many screens are being shown. Try again later.\n',
            )
        tokens = urllib.parse.parse_qs(query).get('token', [''])
        try:
            way = self._conductor.check_console(internal(), token=tokens[0])
        except exception.MinovaException as error:
            return _refusal(error)
        if way['machine'] not in (None, _here(way)):
            LOG.error(
                'The screen of %s listens at %s of its host %s, which leads '
                'elsewhere from here. Set [libvirt] vnc_listen there to an '
                'address that this machine reaches.',
                way['instance_uuid'],
                way['socket'] or way['host'],
                way['compute'],
            )
            return pages.plain(
                http.HTTPStatus.BAD_GATEWAY,
                'The screen of this server cannot be reached from here.\n',
            )
        assert isinstance(connection, Visit)
        connection.way = way
        return None

    # -- those who are -------------------------------------------------------

    def _show(self, connection: ServerConnection) -> None:
        """Show a screen until somebody hangs up."""
        assert isinstance(connection, Visit)
        way = connection.way
        uuid = way['instance_uuid']
        try:
            guest = reach(way, CONF.vnc.connect_timeout)
        except OSError as error:
            LOG.warning('The screen of %s cannot be reached: %s', uuid, error)
            connection.close(
                CloseCode.INTERNAL_ERROR, 'the screen cannot be reached'
            )
            return
        relay = Relay(connection, guest)
        with self._guard:
            self._relays[relay] = uuid
        LOG.info('The screen of %s is shown.', uuid)
        try:
            relay.run()
        finally:
            with self._guard:
                del self._relays[relay]
            LOG.info('The screen of %s is not shown any more.', uuid)

    def _open(self) -> dict[Relay, str]:
        with self._guard:
            return dict(self._relays)

    def _end_those_over(self) -> None:
        """Hang up on those whose instance is gone."""
        shown = self._open()
        if not shown:
            return
        over = set(
            self._conductor.consoles_over(
                internal(), instances=sorted(set(shown.values()))
            )
        )
        _end(
            [relay for relay, uuid in shown.items() if uuid in over],
            CloseCode.POLICY_VIOLATION,
            'the server is deleted',
        )


def _end(relays: Iterable[Relay], code: int, reason: str) -> None:
    """End them side by side: each may wait a moment for its browser."""
    threads = [clock.spawn('vnc-end', one.end, code, reason) for one in relays]
    for thread in threads:
        thread.join()


def _binary(connection: ServerConnection, offered: Any) -> Subprotocol | None:
    """Agree to the one subprotocol; clients need not name it."""
    return _BINARY if _BINARY in offered else None


def _one(request: Request, name: str) -> str | None:
    """Return a header; of one that is sent twice, all, which fits nothing."""
    return ', '.join(request.headers.get_all(name)) or None


def _here(way: dict[str, Any]) -> str:
    return machine.files() if way['socket'] else machine.network()


def _refusal(error: exception.MinovaException) -> Response:
    """Return how a browser is told what a conductor or a host has said."""
    if isinstance(error, exception.ConsoleTokenNotFound):
        return pages.plain(http.HTTPStatus.FORBIDDEN, f'{error}\n')
    if isinstance(error, exception.Refused) and not isinstance(
        error, exception.Unavailable
    ):
        return pages.plain(http.HTTPStatus(error.status), f'{error}\n')
    LOG.warning('A token cannot be checked: %s', error)
    return pages.plain(
        http.HTTPStatus.SERVICE_UNAVAILABLE,
        'Where the screen is cannot be told at this time. Try again later.\n',
    )
