# SPDX-License-Identifier: Apache-2.0
"""minova-compute: acts on the hypervisor of the host it runs on."""

import contextlib
import sys

from minova import images
from minova import service
from minova.compute.service import ComputeService
from minova.conf import CONF
from minova.rpc.oslo import OsloBus
from minova.virt import load

PROG = 'minova-compute'


class Compute:
    """The process: a bus, a hypervisor, a compute."""

    def start(self) -> None:
        """Open the hypervisor, then take up what is owed."""
        with contextlib.ExitStack() as taken_back:
            self._bus = OsloBus()
            taken_back.callback(self._bus.close)
            driver = load.load(CONF.host)
            # Or the next try would find the host taken, by this one.
            taken_back.callback(driver.close)
            self._compute = ComputeService(
                CONF.host, self._bus, driver, images.load(), service.give_up
            )
            self._compute.start()
            taken_back.pop_all()

    def stop(self) -> None:
        """Finish what is quick, leave the rest owed."""
        self._bus.hang_up_soon()
        self._compute.stop()
        self._bus.close()


def main() -> int:
    """Run minova-compute."""
    service.configure(sys.argv[1:], PROG)
    with service.fatal(PROG):
        OsloBus.check()
    return service.run(PROG, Compute)


if __name__ == '__main__':
    sys.exit(main())
