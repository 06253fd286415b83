# SPDX-License-Identifier: Apache-2.0
"""The listener of a host: console proxies reach serial consoles through it.

A guest's serial port has no address on the network. A proxy connects to the
listener over TLS and names a path, which the host has given to a conductor for
one console, and which is valid once and for a short time::

    CONNECT /KEY HTTP/1.1

After the reply 200 the connection is the console: the bytes of the guest's
first serial port, in both directions. The certificate is self-signed; the
conductor tells the proxy its fingerprint, with the path.
"""

import contextlib
import hmac
import os
import re
import secrets
import socket
from typing import Final

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.compute import consoles
from minova.conf import CONF
from minova.serving import certificate
from minova.serving import http_server
from minova.serving import relay
from minova.serving.acceptor import Acceptor
from minova.serving.acceptor import Opening
from minova.serving.acceptor import TlsOpening
from minova.virt.driver import Driver

LOG = logging.getLogger(__name__)

SERIAL: Final = 'serial'
#: Seconds for which a path is valid.
KEY_TTL: Final = 60.0
#: The maximum number of valid paths; the oldest ends first.
MAX_KEYS: Final = 1000
#: The option SO_SNDTIMEO and SO_RCVTIMEO of the request and its reply.
_REQUEST_TIMEOUT: Final = 10.0
_REQUEST = re.compile(rb'CONNECT /([A-Za-z0-9_-]{43}) HTTP/1\.[01]\r\n')


class ConsoleListener:
    """The listener of ``host``; none unless ``[serial_console] enabled``."""

    def __init__(self, host: str, driver: Driver) -> None:
        self._host = host
        self._driver = driver
        self._guard = clock.lock()
        #: The instance and the last second of each path, the oldest first.
        self._keys: dict[str, tuple[str, float]] = {}
        self._acceptor: Acceptor | None = None

    def start(self) -> None:
        """Listen, if consoles are enabled; ConfigInvalid if impossible."""
        options = CONF.serial_console
        if not options.enabled:
            return
        path = os.path.join(CONF.state_path, f'console-{self._host}.pem')
        try:
            self._fingerprint = certificate.ensure_certificate(
                path, self._host
            )
        except OSError as error:
            raise exception.ConfigInvalid(
                reason=f'[DEFAULT] state_path: {path}: {error.strerror}'
            ) from error
        tls = certificate.server_context(path)
        bound = http_server.listen(
            options.proxyclient_address,
            options.proxyclient_port,
            '[serial_console] proxyclient_address and proxyclient_port',
        )
        self._port = int(bound.getsockname()[1])
        self._acceptor = Acceptor(
            f'consoles-{self._host}',
            bound,
            lambda plain: TlsOpening(plain, tls),
            self._serve,
        )
        self._acceptor.start()

    def stop(self) -> None:
        """End all consoles; return when no connection is open."""
        if self._acceptor is not None:
            self._acceptor.stop_accepting()
            self._acceptor.close_connections()

    def offer(self, uuid: str) -> dict[str, str | int | None]:
        """Return where a proxy reaches the console of a guest, once.

        Raises InstanceNotReady for a guest that is off, and
        ConsoleTypeUnavailable when the host offers no serial consoles.
        """
        if self._acceptor is None:
            raise exception.ConsoleTypeUnavailable(
                console_type=SERIAL,
                reason=f'[serial_console] enabled is false on {self._host}.',
            )
        self._driver.check_serial_console(uuid)
        key = secrets.token_urlsafe(32)
        now = clock.monotonic()
        with self._guard:
            while self._keys and (
                len(self._keys) >= MAX_KEYS or self._oldest_end() < now
            ):
                del self._keys[next(iter(self._keys))]
            self._keys[key] = (uuid, now + KEY_TTL)
        return consoles.listener_connect_info(
            CONF.serial_console.proxyclient_address,
            self._port,
            f'/{key}',
            self._fingerprint,
        )

    def _oldest_end(self) -> float:
        return next(iter(self._keys.values()))[1]

    def _take(self, key: str) -> str | None:
        """Return the instance of a valid path, which then is invalid."""
        now = clock.monotonic()
        with self._guard:
            for known, (uuid, until) in self._keys.items():
                if hmac.compare_digest(known, key):
                    del self._keys[known]
                    return uuid if now <= until else None
        return None

    # -- connections ---------------------------------------------------------

    def _serve(self, opening: Opening, address: str) -> None:
        """Serve a connection that has sent a request."""
        assert isinstance(opening, TlsOpening)
        secured = opening.socket
        secured.settimeout(_REQUEST_TIMEOUT)
        found = _REQUEST.match(opening.head)
        uuid = self._take(found[1].decode()) if found is not None else None
        if uuid is None:
            LOG.warning(
                'Console listener of %s: a request from %s has no valid path',
                self._host,
                address,
            )
            secured.sendall(_reply('403 Forbidden'))
            return
        try:
            console = self._driver.open_serial_console(uuid)
        except exception.MinovaException as error:
            LOG.warning('Serial console of %s: %s', uuid, error)
            secured.sendall(_reply('502 Bad Gateway'))
            return
        with contextlib.closing(console):
            secured.sendall(_reply('200 OK'))
            self._trust(secured)
            LOG.debug('Serial console of %s: connected', uuid)
            relay.relay(secured, console)
            LOG.debug('Serial console of %s: disconnected', uuid)

    def _trust(self, secured: socket.socket) -> None:
        assert self._acceptor is not None
        self._acceptor.trust(secured)
        relay.keep_alive(secured)


def _reply(status: str) -> bytes:
    return f'HTTP/1.1 {status}\r\n\r\n'.encode()
