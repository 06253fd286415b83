# SPDX-License-Identifier: Apache-2.0
"""minova-conductor: decides, owns the operations, publishes notifications."""

import contextlib
import sys

from minova import service
from minova.conductor.service import ConductorService
from minova.conf import CONF
from minova.db import engine
from minova.db import schema
from minova.rpc.oslo import OsloBus

PROG = 'minova-conductor'


class Conductor:
    """The process: a database, a bus, a conductor."""

    def start(self) -> None:
        """Connect, then answer."""
        with contextlib.ExitStack() as taken_back:
            self._database = schema.connect(
                CONF, CONF.conductor.database_timeout
            )
            taken_back.callback(self._database.dispose)
            self._bus = OsloBus()
            taken_back.callback(self._bus.close)
            self._conductor = ConductorService(
                self._database, self._bus, CONF.host, service.give_up
            )
            self._conductor.start()
            taken_back.pop_all()

    def stop(self) -> None:
        """Answer what was asked, then let go."""
        self._bus.hang_up_soon()
        self._conductor.stop()
        self._bus.close()
        self._database.dispose()


def main() -> int:
    """Run minova-conductor."""
    service.configure(sys.argv[1:], PROG)
    with service.fatal(PROG):
        engine.check(CONF)
        OsloBus.check()
    return service.run(PROG, Conductor, CONF.conductor.workers)


if __name__ == '__main__':
    sys.exit(main())
