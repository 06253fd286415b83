# SPDX-License-Identifier: Apache-2.0
"""The guests of a QEMU host."""

from collections.abc import Iterator
import contextlib

import libvirt

from minova.virt.driver import GuestSpec
from minova.virt.libvirt import networks
from minova.virt.libvirt import xml
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.errors import after_a_change
from minova.virt.libvirt.firmware import Firmware
from minova.virt.libvirt.guests import Guests
from minova.virt.libvirt.network_filters import NetworkFilters
from minova.virt.libvirt.qemu.disks import QemuDisks


class QemuGuests(Guests):
    """Guests with networks of the host and disks that hosts may share."""

    #: The variables of the firmware stay with the disks, as does a copy of the
    #: state of the TPM.
    undefine_flags = (
        Guests.undefine_flags
        | libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM
        | libvirt.VIR_DOMAIN_UNDEFINE_TPM
    )

    def __init__(
        self,
        connection: Connection,
        disks: QemuDisks,
        profile: xml.GuestProfile,
    ) -> None:
        super().__init__(connection, disks, profile)
        self._disks = disks
        self._profile = profile
        self.filters = NetworkFilters(connection)

    def define(self, spec: GuestSpec) -> None:
        """Filter and reserve the addresses of the guest before it can start.

        The host takes ownership of the disks of a guest that arrived running.
        """
        guest = self.guest(spec.uuid)
        if guest is not None and guest.is_on and not guest.is_incoming:
            self._disks.take_ownership(spec.uuid)
        self.filters.ensure(spec.uuid, spec.nics)
        networks.ensure_reservations(self._connection, spec.uuid, spec.nics)
        self._disks.prepare_console_log(spec.uuid)
        self._disks.prepare_nvram(spec.uuid, self.firmware(spec))
        if guest is None or not guest.is_on:
            self._disks.install_tpm(spec.uuid)
        with after_a_change(spec.uuid):
            super().define(spec)

    def firmware(self, spec: GuestSpec) -> Firmware | None:
        """Return the UEFI firmware of a guest, None for another one.

        GuestFailed when the host has none that the guest requires.
        """
        return xml.choose_firmware(spec, self._profile)

    @contextlib.contextmanager
    def dedicated(
        self, domain: libvirt.virDomain
    ) -> Iterator[libvirt.virDomain]:
        """Yield the domain on a connection of its own."""
        with self._connection.dedicated() as conn:
            yield conn.lookupByUUIDString(domain.UUIDString())

    def start(self, uuid: str) -> None:
        """Start a guest, which changes the state of its TPM from now on."""
        self._disks.discard_tpm_copy(uuid)
        super().start(uuid)

    def destroy(self, uuid: str) -> None:
        """Remove the guest, then its reserved addresses.

        The state of its TPM stays with its disks.
        """
        if self.find(uuid) is not None:
            self.power_off(uuid)
            with after_a_change(uuid):
                self._disks.save_tpm(uuid)
                super().destroy(uuid)
        with after_a_change(uuid):
            networks.remove_reservations(self._connection, uuid)
