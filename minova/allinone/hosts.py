# SPDX-License-Identifier: Apache-2.0
"""The compute hosts of an all-in-one, and their drivers.

Embedded and fake hosts are opened as configured. Hosts with QEMU are those of
a rig below the data directory: they and their guests survive the end of the
all-in-one, and its next start finds them.
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

#: The function that opens the driver of a host, by the host's name.
Hosts = dict[str, Callable[[], Driver]]


def configured_hosts(count: int) -> Hosts:
    """Return hosts with the configured driver."""
    names = [f'node{number + 1}' for number in range(count)]
    return {name: _opener(name) for name in names}


def _opener(name: str) -> Callable[[], Driver]:
    return lambda: loader.load_driver(name)


def rig_directory(directory: str) -> str:
    """Return the directory of the rig."""
    return os.path.join(directory, 'rig')


def start_qemu_hosts(directory: str, count: int, tools: str) -> Hosts:
    """Start hosts with QEMU; ``tools`` is a directory for an emulator.

    Raises ConfigInvalid if this machine cannot run them.
    """
    program = _find_emulator(tools)
    found = rig.up(
        rig_directory(directory),
        count,
        known=os.path.join(tools, 'capabilities'),
        emulator=program or None,
    )
    return {one.name: _qemu_opener(one, program) for one in found}


def _find_emulator(tools: str) -> str:
    try:
        return emulator.ensure_safe_emulator(tools)
    except (exception.ConfigInvalid, OSError) as error:
        LOG.warning(
            'Guests use the QEMU that libvirt selects; if it is older than '
            'version 10, they do not migrate live: %s',
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
                live_migration_uri=one.live_migration_uri,
                live_migration_inbound_addr=one.address,
                virt_type='qemu',
                emulator=program,
            )
        )
        return driver

    return open_driver
