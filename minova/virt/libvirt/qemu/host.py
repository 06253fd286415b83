# SPDX-License-Identifier: Apache-2.0
"""A QEMU host."""

import libvirt

from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.host import Host
from minova.virt.libvirt.qemu.disks import QemuDisks
from minova.virt.libvirt.qemu.host_config import HostConfig


class QemuHost(Host):
    """The host itself; its version is that of the QEMU of new guests."""

    def __init__(
        self, connection: Connection, host_config: HostConfig, disks: QemuDisks
    ) -> None:
        super().__init__(connection, host_config.instances_path)
        self._config = host_config
        self._disks = disks

    def close(self) -> None:
        """Close the connection and the server for transfers."""
        super().close()
        self._disks.close()

    def _version(self, conn: libvirt.virConnect) -> int:
        return self._config.qemu_version(conn)
