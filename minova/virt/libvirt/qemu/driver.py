# SPDX-License-Identifier: Apache-2.0
"""A host with real machines: libvirt's QEMU driver, wherever it is reached."""

from collections.abc import Iterator
import contextlib
from typing import Any

from minova.states import POWERED_ON
from minova.virt.driver import Driver
from minova.virt.driver import GuestSpec
from minova.virt.libvirt import networks
from minova.virt.libvirt import xml
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.consoles import Consoles
from minova.virt.libvirt.driver import LibvirtDriver
from minova.virt.libvirt.guests import Guests
from minova.virt.libvirt.host import Host
from minova.virt.libvirt.qemu import guest_profile
from minova.virt.libvirt.qemu import host_config as sites
from minova.virt.libvirt.qemu.disks import QemuDisks
from minova.virt.libvirt.qemu.host_config import HostConfig
from minova.virt.libvirt.qemu.live_migration import QemuLiveMigration


def open_driver(host: str) -> Driver:
    """Return the driver of the QEMU host that is configured.

    It is opened whether or not libvirt answers yet.
    """
    return build_driver(sites.from_config(host))


def build_driver(host_config: HostConfig) -> LibvirtDriver:
    """Return the driver of a QEMU host."""
    disks = QemuDisks(host_config)
    connection = Connection(host_config.connection_uri)
    guests = QemuGuests(
        connection, disks, guest_profile.from_config(host_config)
    )
    return LibvirtDriver(
        connection,
        QemuHost(connection, host_config, disks),
        guests,
        disks,
        QemuLiveMigration(host_config, connection, guests, disks),
        Consoles(connection, disks),
    )


class QemuGuests(Guests):
    """Guests with real networks and with disks that hosts may share."""

    def __init__(
        self,
        connection: Connection,
        disks: QemuDisks,
        profile: xml.GuestProfile,
    ) -> None:
        super().__init__(connection, disks, profile)
        self._disks = disks

    def define(self, spec: GuestSpec) -> None:
        """Let the host's networks know the guest before it may start.

        Disks that it came running with are this host's from now on.
        """
        guest = self.guest(spec.uuid)
        if (
            guest is not None
            and guest.power in POWERED_ON
            and not guest.is_incoming
        ):
            self._disks.take_ownership(spec.uuid)
        networks.ensure_reservations(self._connection, spec.uuid, spec.nics)
        super().define(spec)

    @contextlib.contextmanager
    def dedicated(self, domain: Any) -> Iterator[Any]:
        """Let it have a connection to itself; see ``Connection.apart``."""
        with self._connection.dedicated() as conn:
            yield conn.lookupByUUIDString(domain.UUIDString())

    def destroy(self, uuid: str) -> None:
        """Let them forget it when it is gone."""
        super().destroy(uuid)
        networks.remove_reservations(self._connection, uuid)


class QemuHost(Host):
    """The host itself; its version is that of the QEMU that guests get."""

    def __init__(
        self, connection: Connection, host_config: HostConfig, disks: QemuDisks
    ) -> None:
        super().__init__(connection, host_config.instances_path)
        self._config = host_config
        self._disks = disks

    def close(self) -> None:
        """Close the connection, receive no more disks."""
        super().close()
        self._disks.close()

    def _version(self, conn: Any) -> int:
        return self._config.qemu_version(conn)
