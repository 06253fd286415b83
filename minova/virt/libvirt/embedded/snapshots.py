# SPDX-License-Identifier: Apache-2.0
"""The snapshots of an embedded host: sparse copies of plain files."""

from collections.abc import Iterator
import os

from minova.virt.driver import DiskSnapshot
from minova.virt.driver import TransferProgress
from minova.virt.libvirt.disks import Disks
from minova.virt.libvirt.disks import translate_os_errors
from minova.virt.libvirt.guests import Guests
from minova.virt.libvirt.root_disk import find_root_disk
from minova.virt.libvirt.snapshot_files import SnapshotFiles
from minova.virt.libvirt.sparse_files import copy_sparse
from minova.virt.transfer.blocks import extents

#: Files have at least one sector.
_SECTOR = 512


class EmbeddedSnapshots:
    """The snapshots of an embedded host; see ``SnapshotInterface``.

    Its guests have no file systems, so there is nothing to freeze.
    """

    def __init__(self, guests: Guests, disks: Disks) -> None:
        self._guests = guests
        self._disks = disks
        self._files = SnapshotFiles(disks)

    def take_snapshot(
        self, uuid: str, image_id: str, quiesce: bool
    ) -> Iterator[TransferProgress]:
        """Copy the file up to its last data: a disk grows to its flavor."""
        if self._files.find(uuid, image_id) is not None:
            return
        self._disks.require_disks(uuid)
        root = find_root_disk(self._guests.require(uuid), self._disks)
        with translate_os_errors(uuid):
            part = self._files.prepare(uuid, image_id)
            copy_sparse(root.path, part)
            if root.disk_format == 'raw':
                _cut_end(part)
            size = os.stat(part).st_size
            self._files.commit(uuid, image_id, root.disk_format)
        yield TransferProgress(size, size)

    def find_snapshot(self, uuid: str, image_id: str) -> DiskSnapshot | None:
        """Return a complete copy, None without one."""
        with translate_os_errors(uuid):
            return self._files.find(uuid, image_id)

    def remove_snapshot(self, uuid: str, image_id: str | None) -> None:
        """Remove the files."""
        self._files.remove(uuid, image_id)


def _cut_end(path: str) -> None:
    """Cut the hole at the end of a file."""
    with open(path, 'r+b') as file:
        ends = [
            end for _, end in extents(file.fileno(), os.stat(path).st_size)
        ]
        size = max([_SECTOR, *ends])
        os.ftruncate(file.fileno(), -(-size // _SECTOR) * _SECTOR)
        os.fsync(file.fileno())
