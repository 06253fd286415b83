# SPDX-License-Identifier: Apache-2.0
"""minova-compute: acts on the hypervisor of the host it runs on."""

import contextlib
import os
import sys
from typing import IO

from minova import exception
from minova import images
from minova import lockfile
from minova import service
from minova.compute.service import ComputeService
from minova.conf import CONF
from minova.rpc.oslo_bus import OsloBus
from minova.virt import loader

PROG = 'minova-compute'


class Compute:
    """The process: a bus, a hypervisor, a compute."""

    def start(self) -> None:
        """Open the hypervisor, then take up what is owed."""
        with contextlib.ExitStack() as cleanup:
            self._host_lock = cleanup.enter_context(_acquire_host_lock())
            self._bus = OsloBus()
            cleanup.callback(self._bus.close)
            driver = loader.load_driver(CONF.host)
            # Or the next try would find the host taken, by this one.
            cleanup.callback(driver.close)
            self._compute = ComputeService(
                CONF.host,
                self._bus,
                driver,
                images.load(),
                service.exit_worker,
            )
            self._compute.start()
            cleanup.pop_all()

    def stop(self) -> None:
        """Finish what is quick, leave the rest owed."""
        self._bus.abort_calls_soon()
        self._compute.stop()
        self._bus.close()
        self._host_lock.close()


def _acquire_host_lock() -> IO[str]:
    """Make sure that no other process acts for this host; until closed.

    Two that do so at the same time could run one guest twice. Raises
    Unavailable while there is another.
    """
    name = CONF.host.replace(os.sep, '_')
    path = os.path.join(CONF.state_path, f'compute-{name}.lock')
    try:
        os.makedirs(CONF.state_path, exist_ok=True)
        held = lockfile.acquire(path)
        if held is not None:
            return held
        other = lockfile.holder(path)
    except OSError as error:
        raise exception.ConfigInvalid(
            reason=f'[DEFAULT] state_path: {path}: {error.strerror}'
        ) from error
    raise exception.Unavailable(
        what=f'Host {CONF.host}',
        reason=f'process {other} is its compute and has not ended',
    )


def main() -> int:
    """Run minova-compute."""
    service.configure(sys.argv[1:], PROG)
    with service.exit_on_config_error(PROG):
        OsloBus.check()
    return service.run(PROG, Compute)


if __name__ == '__main__':
    sys.exit(main())
