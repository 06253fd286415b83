# SPDX-License-Identifier: Apache-2.0
"""A libvirt driver: five parts that answer as one.

It adds nothing to them but one look at guests and disks together. Which parts
a host is made of is decided where it is opened: ``embedded.open_driver`` for
an embedded host.
"""

from typing import Protocol

from minova.objects.host import Holding
from minova.virt import stock
from minova.virt.driver import ConsoleInterface
from minova.virt.driver import DiskInterface
from minova.virt.driver import GuestInterface
from minova.virt.driver import HostInterface
from minova.virt.driver import MoveInterface
from minova.virt.libvirt import networks
from minova.virt.libvirt.connection import Connection


class Disks(DiskInterface, Protocol):
    """Disks that can be listed."""

    def kept(self) -> dict[str, stock.Kept]:
        """Return what there is of disks, by the uuid of the guest."""


class LibvirtDriver:
    """A host, its guests, their disks, their moves and their consoles."""

    def __init__(
        self,
        connection: Connection,
        host: HostInterface,
        guests: GuestInterface,
        disks: Disks,
        moves: MoveInterface,
        consoles: ConsoleInterface,
    ) -> None:
        #: For tests, and for whoever looks over the driver's shoulder.
        self.connection = connection

        self._disks = disks
        self.uses_images = host.uses_images
        self.inventory = host.inventory
        self.next_event = host.next_event
        self.close = host.close

        self.guests = guests.guests
        self.guest = guests.guest
        self.define = guests.define
        self.start = guests.start
        self.shutdown = guests.shutdown
        self.power_off = guests.power_off
        self.pause = guests.pause
        self.unpause = guests.unpause
        self.suspend = guests.suspend
        self.has_saved = guests.has_saved
        self.resume = guests.resume
        self.remove = guests.remove

        self.create_disks = disks.create_disks
        self.images_in_use = disks.images_in_use
        self.has_disks = disks.has_disks
        self.grow_disks = disks.grow_disks
        self.create_rescue_disk = disks.create_rescue_disk
        self.remove_rescue_disk = disks.remove_rescue_disk
        self.remove_disks = disks.remove_disks
        self.prepare_disks = disks.prepare_disks
        self.check_hand_over = disks.check_hand_over
        self.hand_over = disks.hand_over
        self.accept_disks = disks.accept_disks
        self.set_aside = disks.set_aside
        self.take_back = disks.take_back
        self.drop_aside = disks.drop_aside
        self.has_aside = disks.has_aside

        self.check_reception = moves.check_reception
        self.check_departure = moves.check_departure
        self.prepare_reception = moves.prepare_reception
        self.cancel_reception = moves.cancel_reception
        self.migrate = moves.migrate
        self.migration = moves.migration
        self.hasten = moves.hasten
        self.abort_migration = moves.abort_migration
        self.force_migration = moves.force_migration

        self.console_output = consoles.console_output
        self.vnc = consoles.vnc

    def stock(self) -> list[Holding]:
        """Return what libvirt and the disks' directory hold.

        Disks are looked at last: a guest that comes meanwhile brings them.
        """
        guests = self.guests()
        reserved = networks.connected(self.connection)
        return stock.of(guests, self._disks.kept(), reserved)
