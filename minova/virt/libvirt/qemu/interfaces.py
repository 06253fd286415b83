# SPDX-License-Identifier: Apache-2.0
"""The network interfaces of the guests of a QEMU host."""

from minova.virt.driver import GuestSpec
from minova.virt.driver import Nic
from minova.virt.libvirt import networks
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.errors import after_a_change
from minova.virt.libvirt.interfaces import Interfaces
from minova.virt.libvirt.qemu.guests import QemuGuests


class QemuInterfaces(Interfaces):
    """Interfaces on networks of the host."""

    def __init__(self, connection: Connection, guests: QemuGuests) -> None:
        super().__init__(guests)
        self._connection = connection
        self._filters = guests.filters

    def attach_interface(self, spec: GuestSpec, nic: Nic) -> None:
        """Filter and reserve the addresses before the guest can use them."""
        self._filters.ensure(spec.uuid, [nic])
        networks.ensure_reservations(self._connection, spec.uuid, [nic])
        with after_a_change(spec.uuid):
            super().attach_interface(spec, nic)

    def detach_interface(self, uuid: str, nic: Nic) -> None:
        """Detach it, then remove its reserved addresses."""
        super().detach_interface(uuid, nic)
        with after_a_change(uuid):
            networks.remove_reservations(
                self._connection, uuid, nic['mac'].lower()
            )
