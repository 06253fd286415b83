# SPDX-License-Identifier: Apache-2.0
"""minova-novncproxy: shows the screens of guests in browsers."""

import functools
import socket
import sys

from minova import http
from minova import service
from minova.conf import CONF
from minova.console.proxy import VncProxy
from minova.rpc import conductor
from minova.rpc.oslo import OsloBus

PROG = 'minova-novncproxy'


class NovncProxy:
    """The process: a bus, and a server of pages and screens."""

    def __init__(self, bound: socket.socket) -> None:
        self._bound = bound

    def start(self) -> None:
        """Answer; a conductor is asked when somebody comes."""
        self._bus = OsloBus()
        self._proxy = VncProxy(self._bound, conductor.client(self._bus))
        self._proxy.start()

    def stop(self) -> None:
        """Hang up on everybody."""
        self._bus.hang_up_soon()
        self._proxy.stop()
        self._bus.close()


def main() -> int:
    """Run minova-novncproxy."""
    service.configure(sys.argv[1:], PROG)
    with service.fatal(PROG):
        OsloBus.check()
        bound = http.listen(
            CONF.vnc.listen, CONF.vnc.port, '[vnc] listen and port'
        )
    return service.run(
        PROG,
        functools.partial(NovncProxy, bound),
        ready=f'{PROG} is ready at {http.url(bound)}/',
        ending=functools.partial(http.refuse, bound),
    )


if __name__ == '__main__':
    sys.exit(main())
