# SPDX-License-Identifier: Apache-2.0
"""The disks of guests, and their transfer to another host."""

from collections.abc import Iterable
import dataclasses
from typing import Protocol

from minova.objects.transfer_ticket import TransferTicket
from minova.virt.driver.guests import GuestSpec


@dataclasses.dataclass(frozen=True)
class Peer:
    """The other host of a migration: its name and its address."""

    host: str
    address: str


@dataclasses.dataclass(frozen=True)
class TransferProgress:
    """The progress of a disk transfer, in bytes."""

    total: int
    done: int


class DiskInterface(Protocol):
    """The disks of guests, in one place per guest."""

    def create_disks(
        self,
        spec: GuestSpec,
        image: str | None,
        reuse_ephemeral: bool = False,
    ) -> None:
        """Create the missing disks, the root disk from ``image``.

        ``image`` is the path of the image's file, None for an empty disk. The
        config drive is one of the disks. With ``reuse_ephemeral`` the guest
        gets the ephemeral disk that is retained, which also stays retained.
        """

    def refresh_config_drive(self, spec: GuestSpec) -> None:
        """Replace the config drive of a guest that is off if it is outdated.

        Creates a missing one. Nothing for a guest without a config drive.
        """

    def images_in_use(self) -> set[str]:
        """Return the paths of the image files that disks are based on.

        Covers all disks on the host, retained ones as well, of any guest. The
        paths are those that ``create_disks`` received. Raises DiskFailed when
        the result would be incomplete.
        """

    def has_disks(self, uuid: str) -> bool:
        """Return whether the disks of the guest exist."""

    def grow_disks(self, spec: GuestSpec) -> None:
        """Grow the disks to the sizes in ``spec``; never shrink them."""

    def create_rescue_disk(self, spec: GuestSpec, image: str | None) -> None:
        """Create the rescue disk from ``image``, with the image's size.

        An existing rescue disk stays.
        """

    def remove_rescue_disk(self, uuid: str) -> None:
        """Remove the rescue disk if it exists."""

    def remove_disks(self, uuid: str) -> None:
        """Remove the disks of the guest; retained disks stay."""

    def prepare_disk_transfer(self, spec: GuestSpec) -> TransferTicket:
        """At the destination: issue a ticket to send disks here.

        The ticket may hold a secret: it travels over the message bus alone. It
        is valid until the disks are committed or removed.
        """

    def check_can_send_disks(
        self, uuid: str, dest: Peer, transfer_ticket: TransferTicket
    ) -> None:
        """At the source: check the transfer while the guest runs.

        Raises as ``send_disks`` does.
        """

    def send_disks(
        self, uuid: str, dest: Peer, transfer_ticket: TransferTicket
    ) -> Iterable[TransferProgress]:
        """At the source: send the disks of a guest that is off.

        A generator does the work; the caller may stop between two steps, and a
        repeated call continues. After the last step the destination has all
        disks, verified. Nothing when the own disks are retained, which proves
        that they were sent. Raises DiskTransferInterrupted when the
        destination does not answer.
        """

    def commit_received_disks(self, uuid: str) -> None:
        """At the destination: use the received disks; revoke the ticket.

        Raises DiskFailed when the transfer is incomplete.
        """

    def retain_disks(self, uuid: str, copy: bool = False) -> None:
        """Retain the disks as they are, for a revert.

        With ``copy`` the guest also keeps its disks. Disks that are retained
        already stay as they are.
        """

    def restore_disks(self, uuid: str) -> None:
        """Make the retained disks the disks of the guest again.

        Nothing when none are retained and the guest has disks; DiskMissing
        when both are missing.
        """

    def discard_disks(self, uuid: str) -> None:
        """Remove the retained disks."""

    def has_retained_disks(self, uuid: str) -> bool:
        """Return whether disks of the guest are retained."""

    def has_shared_disks(self, uuid: str) -> bool:
        """Return whether this host sees disks that another host owns.

        Raises DiskMissing when it sees them without their image.
        """

    def set_disk_owner(self, uuid: str, host: str) -> None:
        """Make a host the owner of shared disks.

        Raises DiskFailed while a guest of any host has the disks open: the
        lock of a disk image ends with its QEMU, or when the storage drops the
        locks of a host that is gone.
        """
