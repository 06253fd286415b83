# SPDX-License-Identifier: Apache-2.0
"""minova-compute: runs the guests of its host."""

import contextlib
import os
import sys
from typing import IO

from oslo_log import log as logging

from minova import exception
from minova import images
from minova import lockfile
from minova import private_files
from minova import service
from minova.compute import host_key
from minova.compute.service import ComputeService
from minova.conf import CONF
from minova.rpc.oslo_bus import OsloBus
from minova.virt import loader

LOG = logging.getLogger(__name__)

PROG = 'minova-compute'


class Compute:
    """The process: a message bus, a hypervisor driver, a compute service."""

    def start(self) -> None:
        """Connect to the hypervisor, then start the pending steps."""
        _warn_of_open_consoles()
        with contextlib.ExitStack() as cleanup:
            self._host_lock = cleanup.enter_context(_acquire_host_lock())
            self._bus = OsloBus(service='compute')
            cleanup.callback(self._bus.close)
            driver = loader.load_driver(CONF.host)
            # Otherwise the next attempt would find its own lock.
            cleanup.callback(driver.close)
            self._compute = ComputeService(
                CONF.host,
                self._bus,
                driver,
                images.load(),
                host_key.ensure(CONF.host),
                service.exit_worker,
            )
            self._compute.start()
            cleanup.pop_all()

    @property
    def is_serving(self) -> bool:
        """Whether a conductor has registered the host."""
        return self._compute.is_registered

    def stop(self) -> None:
        """Finish short steps; the others stay pending."""
        self._bus.abort_calls_soon()
        self._compute.stop()
        self._bus.close()
        self._host_lock.close()


def _warn_of_open_consoles() -> None:
    """Warn of VNC servers, which have no password, in all networks."""
    address = CONF.vnc.server_listen
    if address in ('0.0.0.0', '::'):  # noqa: S104  a comparison
        LOG.warning(
            '[vnc] server_listen = %s: every machine that reaches this host '
            'controls its guests by VNC, which has no password; set an '
            'address in a network of the console proxies',
            address,
        )


def _acquire_host_lock() -> IO[str]:
    """Lock this host against another compute process, until closed.

    Two processes that act for one host could run a guest twice. Raises
    Unavailable while another process has the lock.
    """
    name = CONF.host.replace(os.sep, '_')
    path = os.path.join(CONF.state_path, f'compute-{name}.lock')
    try:
        private_files.make_directory(CONF.state_path, '[DEFAULT] state_path')
        lock = lockfile.acquire(path)
        if lock is not None:
            return lock
        other = lockfile.holder(path)
    except OSError as error:
        raise exception.ConfigInvalid(
            reason=f'[DEFAULT] state_path: {path}: {error.strerror}'
        ) from error
    raise exception.Unavailable(
        what=f'Host {CONF.host}',
        reason=f'process {other} already runs its compute service; stop that '
        'process first',
    )


def main() -> int:
    """Run minova-compute."""
    service.configure(sys.argv[1:], PROG)
    with service.exit_on_config_error(PROG):
        OsloBus.check()
    return service.run(PROG, Compute)


if __name__ == '__main__':
    sys.exit(main())
