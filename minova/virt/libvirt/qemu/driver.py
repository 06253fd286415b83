# SPDX-License-Identifier: Apache-2.0
"""The driver of a QEMU host."""

from minova.virt.driver import Driver
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.diagnostics import DomainDiagnostics
from minova.virt.libvirt.driver import LibvirtDriver
from minova.virt.libvirt.guest_agent import GuestAgents
from minova.virt.libvirt.qemu import guest_profile
from minova.virt.libvirt.qemu import host_config as host_configs
from minova.virt.libvirt.qemu import permissions
from minova.virt.libvirt.qemu.consoles import QemuConsoles
from minova.virt.libvirt.qemu.disks import QemuDisks
from minova.virt.libvirt.qemu.guests import QemuGuests
from minova.virt.libvirt.qemu.host import QemuHost
from minova.virt.libvirt.qemu.host_config import HostConfig
from minova.virt.libvirt.qemu.interfaces import QemuInterfaces
from minova.virt.libvirt.qemu.live_migration import QemuLiveMigration
from minova.virt.libvirt.qemu.snapshots import QemuSnapshots


def open_driver(host: str) -> Driver:
    """Return the driver of the configured QEMU host.

    The driver connects on first use, so libvirt may still be starting.
    """
    host_config = host_configs.from_config(host)
    permissions.prepare_directories(host_config)
    return build_driver(host_config)


def build_driver(host_config: HostConfig) -> LibvirtDriver:
    """Return the driver of a QEMU host."""
    disks = QemuDisks(host_config)
    connection = Connection(host_config.connection_uri)
    profile = guest_profile.from_config(host_config)
    guests = QemuGuests(connection, disks, profile)
    return LibvirtDriver(
        connection,
        QemuHost(connection, host_config, profile, disks),
        guests,
        QemuInterfaces(connection, guests),
        disks,
        QemuSnapshots(guests, disks),
        QemuLiveMigration(host_config, connection, guests, disks),
        QemuConsoles(connection, disks),
        DomainDiagnostics(guests),
        GuestAgents(guests),
    )
