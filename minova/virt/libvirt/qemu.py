# SPDX-License-Identifier: Apache-2.0
"""A host with real machines: libvirt's QEMU driver, wherever it is reached."""

from collections.abc import Iterator
import contextlib
from typing import Any

from minova.states import ON
from minova.virt.driver import Driver
from minova.virt.driver import Spec
from minova.virt.libvirt import networks
from minova.virt.libvirt import profiles
from minova.virt.libvirt import site as sites
from minova.virt.libvirt import xml
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.consoles import Consoles
from minova.virt.libvirt.driver import LibvirtDriver
from minova.virt.libvirt.guests import Guests
from minova.virt.libvirt.host import Host
from minova.virt.libvirt.moves import LiveMoves
from minova.virt.libvirt.qemu_disks import QemuDisks
from minova.virt.libvirt.site import Site


def open_driver(host: str) -> Driver:
    """Return the driver of the QEMU host that is configured.

    It is opened whether or not libvirt answers yet.
    """
    return of(sites.configured(host))


def of(site: Site) -> LibvirtDriver:
    """Return the driver of a QEMU host."""
    disks = QemuDisks(site)
    connection = Connection(site.connection_uri)
    guests = QemuGuests(connection, disks, profiles.of(site))
    return LibvirtDriver(
        connection,
        QemuHost(connection, site, disks),
        guests,
        disks,
        LiveMoves(site, connection, guests, disks),
        Consoles(connection, disks),
    )


class QemuGuests(Guests):
    """Guests with real networks and with disks that hosts may share."""

    def __init__(
        self, connection: Connection, disks: QemuDisks, profile: xml.Profile
    ) -> None:
        super().__init__(connection, disks, profile)
        self._disks = disks

    def define(self, spec: Spec) -> None:
        """Let the host's networks know the guest before it may start.

        Disks that it came running with are this host's from now on.
        """
        guest = self.guest(spec.uuid)
        if guest is not None and guest.power in ON and not guest.arriving:
            self._disks.take_over(spec.uuid)
        networks.connect(self._connection, spec.uuid, spec.nics)
        super().define(spec)

    @contextlib.contextmanager
    def apart(self, domain: Any) -> Iterator[Any]:
        """Let it have a connection to itself; see ``Connection.apart``."""
        with self._connection.apart() as opened:
            yield opened.lookupByUUIDString(domain.UUIDString())

    def remove(self, uuid: str) -> None:
        """Let them forget it when it is gone."""
        super().remove(uuid)
        networks.disconnect(self._connection, uuid)


class QemuHost(Host):
    """The host itself; its version is that of the QEMU that guests get."""

    def __init__(
        self, connection: Connection, site: Site, disks: QemuDisks
    ) -> None:
        super().__init__(connection, site.instances)
        self._site = site
        self._disks = disks

    def close(self) -> None:
        """Close the connection, receive no more disks."""
        super().close()
        self._disks.close()

    def _version(self, opened: Any) -> int:
        return self._site.version(opened)
