# SPDX-License-Identifier: Apache-2.0
"""minova-novncproxy: shows VNC consoles of guests in browsers."""

import functools
import socket
import sys

from minova import service
from minova.conf import CONF
from minova.console.proxy import ConsoleProxy
from minova.rpc import conductor
from minova.rpc.oslo_bus import OsloBus
from minova.serving import http_server

PROG = 'minova-novncproxy'


class NovncProxy:
    """The process: a message bus, and a server of noVNC and consoles."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def start(self) -> None:
        """Serve; a conductor validates the token of each connection."""
        self._bus = OsloBus(service='novncproxy')
        self._proxy = ConsoleProxy(
            self._sock, conductor.client(self._bus, None)
        )
        self._proxy.start()

    def stop(self) -> None:
        """Close all consoles and disconnect."""
        self._bus.abort_calls_soon()
        self._proxy.stop()
        self._bus.close()


def main() -> int:
    """Run minova-novncproxy."""
    service.configure(sys.argv[1:], PROG)
    with service.exit_on_config_error(PROG):
        OsloBus.check()
        sock = http_server.listen(
            CONF.vnc.novncproxy_host,
            CONF.vnc.novncproxy_port,
            '[vnc] novncproxy_host and novncproxy_port',
        )
    return service.run(
        PROG,
        functools.partial(NovncProxy, sock),
        ready_message=f'{PROG} is ready at {http_server.socket_url(sock)}/',
        on_terminate=functools.partial(http_server.refuse_connections, sock),
    )


if __name__ == '__main__':
    sys.exit(main())
