# SPDX-License-Identifier: Apache-2.0
"""The files of snapshots, in one directory per guest.

Beside the directories of disks::

    .UUID.snapshots/IMAGE.FORMAT    a complete copy of the root disk
    .UUID.snapshots/IMAGE.part      an unfinished one
    .UUID.snapshots/frozen          the file systems of the guest are frozen,
                                    or a process was killed before their thaw
"""

import contextlib
import os
import re
from typing import Final

from minova.virt.driver import DiskSnapshot
from minova.virt.libvirt.disks import Disks
from minova.virt.libvirt.disks import translate_os_errors

_FROZEN: Final = 'frozen'
_COMPLETE: Final = re.compile(r'(?P<image>[0-9a-f-]{36})\.(raw|qcow2)')


class SnapshotFiles:
    """The snapshots of the guests whose disks are ``disks``."""

    def __init__(self, disks: Disks) -> None:
        self._disks = disks

    def prepare(self, uuid: str, image_id: str) -> str:
        """Return the path of a new copy, which does not exist."""
        folder = self._disks.prepare_snapshot_directory(uuid)
        part = os.path.join(folder, f'{image_id}.part')
        _unlink(part)
        return part

    def commit(self, uuid: str, image_id: str, disk_format: str) -> None:
        """Make a copy complete: it is on disk, then it gets its name."""
        folder = self._disks.snapshot_directory(uuid)
        part = os.path.join(folder, f'{image_id}.part')
        for path in (part, folder):
            number = os.open(path, os.O_RDONLY)
            try:
                os.fsync(number)
            finally:
                os.close(number)
        os.rename(part, os.path.join(folder, f'{image_id}.{disk_format}'))

    def part(self, uuid: str, image_id: str) -> str:
        """Return the path of an unfinished copy."""
        folder = self._disks.snapshot_directory(uuid)
        return os.path.join(folder, f'{image_id}.part')

    def find(self, uuid: str, image_id: str) -> DiskSnapshot | None:
        """Return a complete copy, None without one."""
        folder = self._disks.snapshot_directory(uuid)
        for disk_format in ('raw', 'qcow2'):
            path = os.path.join(folder, f'{image_id}.{disk_format}')
            with contextlib.suppress(FileNotFoundError):
                return DiskSnapshot(disk_format, os.stat(path).st_size, path)
        return None

    def remove(self, uuid: str, image_id: str | None) -> None:
        """Remove a copy, complete or not; None: every one."""
        folder = self._disks.snapshot_directory(uuid)
        with translate_os_errors(uuid):
            for name in self._list(folder):
                found = _COMPLETE.fullmatch(name)
                image = found['image'] if found else name.removesuffix('.part')
                if image_id in (image, None):
                    _unlink(os.path.join(folder, name))
            if not self._list(folder):
                self._disks.remove_snapshots(uuid)

    def _list(self, folder: str) -> list[str]:
        """Return the files of copies in a directory, which may not exist."""
        with contextlib.suppress(FileNotFoundError):
            return [
                name
                for name in os.listdir(folder)
                if _COMPLETE.fullmatch(name) or name.endswith('.part')
            ]
        return []

    # -- the mark of a frozen guest ------------------------------------------

    def mark_frozen(self, uuid: str) -> None:
        """Note that the guest is about to be frozen."""
        folder = self._disks.prepare_snapshot_directory(uuid)
        with open(os.path.join(folder, _FROZEN), 'wb') as file:
            os.fsync(file.fileno())

    def is_frozen(self, uuid: str) -> bool:
        """Return whether the guest may be frozen."""
        folder = self._disks.snapshot_directory(uuid)
        return os.path.exists(os.path.join(folder, _FROZEN))

    def mark_thawed(self, uuid: str) -> None:
        """Note that the guest is not frozen."""
        folder = self._disks.snapshot_directory(uuid)
        _unlink(os.path.join(folder, _FROZEN))


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
