# SPDX-License-Identifier: Apache-2.0
"""A QEMU host."""

import libvirt

from minova.virt.driver import Inventory
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.host import Host
from minova.virt.libvirt.network_filters import NetworkFilters
from minova.virt.libvirt.qemu import host_traits
from minova.virt.libvirt.qemu.disks import QemuDisks
from minova.virt.libvirt.qemu.host_config import HostConfig
from minova.virt.libvirt.xml import GuestProfile

#: The architectures of guests that a processor runs, where these are several.
_RUNS = {'x86_64': ('x86_64', 'i686')}


class QemuHost(Host):
    """The host itself; its version is that of the QEMU of new guests."""

    def __init__(
        self,
        connection: Connection,
        host_config: HostConfig,
        profile: GuestProfile,
        disks: QemuDisks,
    ) -> None:
        super().__init__(connection, host_config.instances_path)
        self._config = host_config
        self._profile = profile
        self._disks = disks
        self._filters = NetworkFilters(connection)

    def inventory(self) -> Inventory:
        """Define the filters of networks; read the resources."""
        self._filters.restore()
        return super().inventory()

    def check_health(self) -> None:
        """Ask the hypervisor driver; restore the filters of networks."""
        super().check_health()
        self._filters.restore()

    def close(self) -> None:
        """Close the connection and the server for transfers."""
        super().close()
        self._disks.close()

    def _supported_instances(
        self, capabilities: str
    ) -> tuple[tuple[str, str, str], ...]:
        """Return what libvirt offers and a profile can define.

        An emulated architecture needs its QEMU and its firmware.
        """
        definable = {self._profile.architecture, *self._profile.emulated}
        types = {'qemu', self._config.virt_type}
        return tuple(
            (guest, kind, vm_mode)
            for own, kind, vm_mode in super()._supported_instances(
                capabilities
            )
            if own in definable and kind in types
            for guest in _RUNS.get(own, (own,))
        )

    def _traits(self, conn: libvirt.virConnect) -> tuple[str, ...]:
        """Return the traits of the installed firmware and TPM emulator."""
        found = host_traits.of_firmware(self._profile.uefi or ())
        if self._disks.has_tpms:
            found |= host_traits.of_tpm(
                conn.getDomainCapabilities(
                    self._config.emulator or None,
                    self._profile.architecture,
                    self._profile.machine,
                    self._profile.type,
                )
            )
        return tuple(sorted(found))

    def _version(self, conn: libvirt.virConnect) -> int:
        return self._config.qemu_version(conn)
