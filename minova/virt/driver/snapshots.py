# SPDX-License-Identifier: Apache-2.0
"""Snapshots: copies of the root disks of guests, which become images."""

from collections.abc import Iterable
import dataclasses
import io
from typing import BinaryIO
from typing import Protocol

from minova.virt.driver.disks import TransferProgress


@dataclasses.dataclass(frozen=True)
class DiskSnapshot:
    """A complete copy of a disk: a file, or ``content`` without one.

    ``disk_format`` is the name that the image service has for its format.
    ``size`` is the number of bytes of the file, not of the disk in it.
    """

    disk_format: str
    size: int
    path: str | None = None
    content: bytes = b''

    def open(self) -> BinaryIO:
        """Open the data at its beginning; OSError."""
        if self.path is None:
            return io.BytesIO(self.content)
        return open(self.path, 'rb')


class SnapshotInterface(Protocol):
    """Copies of root disks, each with the id of the image that it becomes."""

    def take_snapshot(
        self, uuid: str, image_id: str, quiesce: bool
    ) -> Iterable[TransferProgress]:
        """Copy the root disk as it is at one moment.

        The guest keeps its power state: a running guest runs on, its disk is
        not locked. With ``quiesce`` the guest agent of a running guest freezes
        the file systems for that moment; GuestFailed without an agent that
        does. A generator does the work: its caller may stop between two
        steps, and a repeated call begins the copy again. After the last step
        the copy is complete. Nothing when it is complete already.
        """

    def find_snapshot(self, uuid: str, image_id: str) -> DiskSnapshot | None:
        """Return a complete copy, None without one."""

    def remove_snapshot(self, uuid: str, image_id: str | None) -> None:
        """Stop a copy and remove it, complete or not; None: every copy.

        The file systems of the guest are thawed, also when the process that
        has frozen them was killed. ``remove_disks`` removes the copies too.
        """
