# SPDX-License-Identifier: Apache-2.0
"""minova-api: answers HTTP and begins operations."""

import functools
import socket
import sys

from minova import http
from minova import service
from minova.api import app
from minova.api import backend
from minova.conf import CONF
from minova.db import engine
from minova.db import schema
from minova.rpc.oslo import OsloBus

PROG = 'minova-api'


class Api:
    """The process: a database, a bus, an HTTP server."""

    def __init__(self, bound: socket.socket) -> None:
        self._bound = bound

    def start(self) -> None:
        """Connect, then answer."""
        self._database = schema.connect(CONF, CONF.api.database_timeout)
        self._bus = OsloBus()
        self._backend = backend.over(
            self._database, self._bus, app.open_images()
        )
        self._http = http.HttpServer(
            app.make_app_from_configuration(self._backend),
            self._bound,
            CONF.api.threads,
            CONF.image.max_upload_bytes,
        )
        self._http.start()

    def stop(self) -> None:
        """Answer what was asked, wake who is to be woken, then let go."""
        self._http.stop()
        self._backend.close()
        self._bus.close()
        self._database.dispose()


def main() -> int:
    """Run minova-api."""
    service.configure(sys.argv[1:], PROG)
    with service.fatal(PROG):
        engine.check(CONF)
        OsloBus.check()
        bound = http.listen(CONF.api.listen, CONF.api.port)
    return service.run(
        PROG,
        functools.partial(Api, bound),
        CONF.api.workers,
        f'{PROG} is ready at {http.url(bound)}/',
        functools.partial(http.refuse, bound),
    )


if __name__ == '__main__':
    sys.exit(main())
