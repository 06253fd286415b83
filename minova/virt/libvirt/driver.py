# SPDX-License-Identifier: Apache-2.0
"""A libvirt driver: the parts of a host behind one interface.

The module of the host chooses the parts: ``qemu.driver`` or
``embedded.driver``.
"""

from typing import Protocol

from minova.objects.host import HostArtifact
from minova.virt import host_contents
from minova.virt.driver import ConsoleInterface
from minova.virt.driver import DiagnosticsInterface
from minova.virt.driver import DiskInterface
from minova.virt.driver import GuestAgentInterface
from minova.virt.driver import GuestInterface
from minova.virt.driver import HostInterface
from minova.virt.driver import LiveMigrationInterface
from minova.virt.driver import NicInterface
from minova.virt.driver import SnapshotInterface
from minova.virt.libvirt import networks
from minova.virt.libvirt.connection import Connection


class ListableDisks(DiskInterface, Protocol):
    """Disks that can be listed."""

    def list_artifacts(self) -> dict[str, host_contents.DiskArtifacts]:
        """Return the artifacts of disks by the uuid of the guest."""


class LibvirtDriver:
    """A host with its guests, disks, migrations and consoles."""

    def __init__(
        self,
        connection: Connection,
        host: HostInterface,
        guests: GuestInterface,
        interfaces: NicInterface,
        disks: ListableDisks,
        snapshots: SnapshotInterface,
        live_migration: LiveMigrationInterface,
        consoles: ConsoleInterface,
        diagnostics: DiagnosticsInterface,
        agents: GuestAgentInterface,
    ) -> None:
        #: For tests and diagnostics.
        self.connection = connection

        self._disks = disks
        self.uses_images = host.uses_images
        self.inventory = host.inventory
        self.check_health = host.check_health
        self.next_event = host.next_event
        self.close = host.close
        self.diagnostics = diagnostics.diagnostics
        self.set_admin_password = agents.set_admin_password

        self._bind_guests(guests, consoles)
        self.interfaces = interfaces.interfaces
        self.attach_interface = interfaces.attach_interface
        self.detach_interface = interfaces.detach_interface
        self._bind_disks(disks)
        self.take_snapshot = snapshots.take_snapshot
        self.find_snapshot = snapshots.find_snapshot
        self.remove_snapshot = snapshots.remove_snapshot
        self._bind_live_migration(live_migration)

    def _bind_guests(
        self, guests: GuestInterface, consoles: ConsoleInterface
    ) -> None:
        self.guests = guests.guests
        self.guest = guests.guest
        self.define = guests.define
        self.start = guests.start
        self.shutdown = guests.shutdown
        self.power_off = guests.power_off
        self.pause = guests.pause
        self.unpause = guests.unpause
        self.inject_nmi = guests.inject_nmi
        self.suspend = guests.suspend
        self.has_managed_save = guests.has_managed_save
        self.resume = guests.resume
        self.destroy = guests.destroy

        self.console_output = consoles.console_output
        self.graphics = consoles.graphics
        self.check_serial_console = consoles.check_serial_console
        self.open_serial_console = consoles.open_serial_console

    def _bind_disks(self, disks: DiskInterface) -> None:
        self.create_disks = disks.create_disks
        self.refresh_config_drive = disks.refresh_config_drive
        self.images_in_use = disks.images_in_use
        self.has_disks = disks.has_disks
        self.grow_disks = disks.grow_disks
        self.create_rescue_disk = disks.create_rescue_disk
        self.remove_rescue_disk = disks.remove_rescue_disk
        self.remove_disks = disks.remove_disks
        self.prepare_disk_transfer = disks.prepare_disk_transfer
        self.check_can_send_disks = disks.check_can_send_disks
        self.send_disks = disks.send_disks
        self.commit_received_disks = disks.commit_received_disks
        self.retain_disks = disks.retain_disks
        self.restore_disks = disks.restore_disks
        self.discard_disks = disks.discard_disks
        self.has_retained_disks = disks.has_retained_disks
        self.has_shared_disks = disks.has_shared_disks
        self.set_disk_owner = disks.set_disk_owner

    def _bind_live_migration(
        self, live_migration: LiveMigrationInterface
    ) -> None:
        self.check_can_live_migrate_destination = (
            live_migration.check_can_live_migrate_destination
        )
        self.check_can_live_migrate_source = (
            live_migration.check_can_live_migrate_source
        )
        self.pre_live_migration = live_migration.pre_live_migration
        self.rollback_live_migration_at_destination = (
            live_migration.rollback_live_migration_at_destination
        )
        self.start_live_migration = live_migration.start_live_migration
        self.migration_status = live_migration.migration_status
        self.tune_migration = live_migration.tune_migration
        self.abort_migration = live_migration.abort_migration
        self.force_complete = live_migration.force_complete

    def list_host_contents(self) -> list[HostArtifact]:
        """Return what libvirt and the directory of disks hold.

        Disks are listed last: a guest that arrives meanwhile has its disks.
        """
        guests = self.guests()
        reserved = networks.guests_with_reservations(self.connection)
        macs = {guest.uuid: self.interfaces(guest.uuid) for guest in guests}
        return host_contents.build(
            guests, self._disks.list_artifacts(), reserved, macs
        )
