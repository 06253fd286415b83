# SPDX-License-Identifier: Apache-2.0
"""minova-conductor: drives operations and publishes notifications."""

import contextlib
import sys

from minova import service
from minova.conductor.service import ConductorService
from minova.conf import CONF
from minova.db import schema
from minova.db.connections import engine
from minova.rpc.oslo_bus import OsloBus

PROG = 'minova-conductor'


class Conductor:
    """The process: a database, a message bus, a conductor service."""

    def start(self) -> None:
        """Connect to the database and the broker, then serve messages."""
        with contextlib.ExitStack() as cleanup:
            self._database = schema.connect(
                CONF, CONF.conductor.database_timeout
            )
            cleanup.callback(self._database.dispose)
            self._bus = OsloBus(service='conductor')
            cleanup.callback(self._bus.close)
            self._conductor = ConductorService(
                self._database, self._bus, CONF.host, service.exit_worker
            )
            self._conductor.start()
            cleanup.pop_all()

    def stop(self) -> None:
        """Finish messages, then disconnect."""
        self._bus.abort_calls_soon()
        self._conductor.stop()
        self._bus.close()
        self._database.dispose()


def main() -> int:
    """Run minova-conductor."""
    service.configure(sys.argv[1:], PROG)
    with service.exit_on_config_error(PROG):
        engine.check(CONF)
        OsloBus.check()
    return service.run(PROG, Conductor, CONF.conductor.workers)


if __name__ == '__main__':
    sys.exit(main())
