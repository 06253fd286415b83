# SPDX-License-Identifier: Apache-2.0
"""A host with real machines: libvirt's QEMU driver, wherever it is reached."""

import os
from typing import Any

from minova.conf import CONF
from minova.virt.driver import Driver
from minova.virt.libvirt import emulators
from minova.virt.libvirt import xml
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.driver import LibvirtDriver
from minova.virt.libvirt.guests import Guests
from minova.virt.libvirt.host import Host
from minova.virt.libvirt.moves import LiveMoves
from minova.virt.libvirt.qcow2 import QemuDisks
from minova.virt.libvirt.sharing import Sharing


def open_driver(host: str) -> Driver:
    """Return the driver of the QEMU host that is configured.

    It is opened whether or not libvirt answers yet.
    """
    directory = os.path.abspath(CONF.libvirt.instances_directory)
    disks = QemuDisks(directory)
    connection = Connection(CONF.libvirt.connection_uri)
    profile = xml.profile(CONF.libvirt.virt_type, CONF.libvirt.emulator)
    guests = Guests(connection, disks, profile)
    moves = LiveMoves(
        host, connection, guests, disks, Sharing(directory, host)
    )
    return LibvirtDriver(
        connection, QemuHost(connection, directory), guests, disks, moves
    )


class QemuHost(Host):
    """The host itself; its version is that of the QEMU that guests get."""

    def _version(self, opened: Any) -> int:
        path = CONF.libvirt.emulator
        if not path:
            path = emulators.chosen(opened, CONF.libvirt.virt_type)
        return emulators.version(path)
