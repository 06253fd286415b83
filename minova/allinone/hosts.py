# SPDX-License-Identifier: Apache-2.0
"""The hosts of an all-in-one: by name, and what drives each.

Embedded and fake hosts are opened as the configuration says. Those with real
guests are hosts of a rig below the data directory: they and their guests live
on when the all-in-one ends, and are found again by its next start.
"""

from collections.abc import Callable
import os

from oslo_log import log as logging

from minova import exception
from minova.conf import CONF
from minova.rig import emulator
from minova.rig import hosts as rig
from minova.virt import loader
from minova.virt.driver import Driver

LOG = logging.getLogger(__name__)

#: By the name of a host: what opens its driver.
Hosts = dict[str, Callable[[], Driver]]


def configured_hosts(count: int) -> Hosts:
    """Return hosts whose drivers the configuration names."""
    names = [f'node{number + 1}' for number in range(count)]
    return {name: _opener(name) for name in names}


def _opener(name: str) -> Callable[[], Driver]:
    return lambda: loader.load_driver(name)


def rig_directory(directory: str) -> str:
    """Return where the rig of a data directory is."""
    return os.path.join(directory, 'rig')


def start_qemu_hosts(directory: str, count: int, tools: str) -> Hosts:
    """Bring up hosts with QEMU; ``tools`` is where an emulator may be put.

    Raises ConfigInvalid when this machine cannot run them.
    """
    program = _find_emulator(tools)
    found = rig.up(rig_directory(directory), count)
    return {one.name: _qemu_opener(one, program) for one in found}


def _find_emulator(tools: str) -> str:
    try:
        return emulator.ensure_safe_emulator(tools)
    except (exception.ConfigInvalid, OSError) as error:
        LOG.warning(
            'Guests get the QEMU that libvirt chooses; if it is older than '
            'version 10, they are not moved while they run: %s',
            error,
        )
        return ''


def _qemu_opener(one: rig.Host, program: str) -> Callable[[], Driver]:
    def open_driver() -> Driver:
        qemu_driver = loader.import_libvirt_module('qemu.driver')
        host_config = loader.import_libvirt_module('qemu.host_config')
        driver: Driver = qemu_driver.build_driver(
            host_config.HostConfig(
                host=one.name,
                instances_path=os.path.join(one.directory, 'disks'),
                image_cache_path=os.path.abspath(
                    CONF.compute.image_cache_directory
                ),
                connection_uri=one.uri,
                live_migration_uri=one.peer_uri,
                live_migration_inbound_addr=one.address,
                virt_type='qemu',
                emulator=program,
            )
        )
        return driver

    return open_driver
