# SPDX-License-Identifier: Apache-2.0
"""minova-api: serves the Compute API and begins operations."""

import functools
import socket
import sys

from minova import service
from minova.api import app
from minova.api import backend
from minova.api.http import auth
from minova.api.http import errors
from minova.conf import CONF
from minova.db import schema
from minova.db.connections import engine
from minova.rpc.oslo_bus import OsloBus
from minova.serving import http_server

PROG = 'minova-api'


class Api:
    """The process: a database, a message bus, an HTTP server."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def start(self) -> None:
        """Connect to the database and the broker, then serve HTTP."""
        self._database = schema.connect(CONF, CONF.api.database_timeout)
        self._bus = OsloBus(service='api')
        self._backend = backend.build_backend(
            self._database, self._bus, app.open_images()
        )
        self._http = http_server.HttpServer(
            app.make_app_from_configuration(self._backend),
            self._sock,
            CONF.api.threads,
            CONF.api.max_request_body_size,
            errors.error_body,
        )
        self._http.start()

    def stop(self) -> None:
        """Finish requests, send pending wake-ups, then disconnect."""
        self._http.stop()
        self._backend.close()
        self._bus.close()
        self._database.dispose()


def main() -> int:
    """Run minova-api."""
    service.configure(sys.argv[1:], PROG)
    with service.exit_on_config_error(PROG):
        engine.check(CONF)
        OsloBus.check()
        sock = http_server.listen(
            CONF.api.osapi_compute_listen, CONF.api.osapi_compute_listen_port
        )
        auth.refuse_open_door(sock.getsockname()[0])
    return service.run(
        PROG,
        functools.partial(Api, sock),
        CONF.api.osapi_compute_workers,
        f'{PROG} is ready at {http_server.socket_url(sock)}/',
        functools.partial(http_server.refuse_connections, sock),
    )


if __name__ == '__main__':
    sys.exit(main())
