# SPDX-License-Identifier: Apache-2.0
"""The owner of disks in a directory that several hosts may share.

A file in the directory of a guest's disks names the host that owns them. A
host neither lists, uses nor removes the disks of another host; a change of
owner is one rename. Disks without such a file belong to every host that sees
them.
"""

import contextlib
import os

from minova import exception
from minova.virt.driver import GuestSpec
from minova.virt.libvirt.disks import DiskBackend
from minova.virt.libvirt.disks import Disks
from minova.virt.libvirt.disks import translate_os_errors

#: The file that names the owner of a directory of disks.
OWNER_FILE = 'host'


class OwnedDisks(Disks):
    """The disks of ``host`` below a directory that hosts may share."""

    def __init__(
        self, directory: str, backend: DiskBackend, host: str
    ) -> None:
        super().__init__(directory, backend)
        self.host = host

    # -- whose they are ------------------------------------------------------

    def get_owner(self, name: str) -> str | None:
        """Return the owner of a directory, None without one."""
        path = os.path.join(self.directory, name, OWNER_FILE)
        try:
            with open(path, encoding='utf-8') as file:
                return file.read().strip() or None
        except (FileNotFoundError, NotADirectoryError):
            return None

    def is_owned(self, name: str) -> bool:
        """Return whether this host may use a directory."""
        return self.get_owner(name) in (None, self.host)

    def set_owner(self, name: str, host: str) -> None:
        """Change the owner of a directory with one rename."""
        write_owner(os.path.join(self.directory, name), host)

    def require_disks(self, uuid: str) -> None:
        """Raise DiskFailed unless the disks exist and this host owns them."""
        other = self.get_owner(uuid)
        if other not in (None, self.host):
            raise exception.DiskFailed(
                instance_id=uuid,
                reason=f'the disks in {self.guest_directory(uuid)} belong to '
                f'host {other}',
            )
        super().require_disks(uuid)

    # -- the interface -------------------------------------------------------

    def create_disks(
        self,
        spec: GuestSpec,
        image: str | None,
        reuse_ephemeral: bool = False,
    ) -> None:
        """Create missing disks unless another host has disks of the guest."""
        folder = self.guest_directory(spec.uuid)
        with translate_os_errors(spec.uuid):
            if os.path.isdir(folder) and not self.is_owned(spec.uuid):
                self.require_disks(spec.uuid)
            os.makedirs(folder, exist_ok=True)
            write_owner(folder, self.host)
        super().create_disks(spec, image, reuse_ephemeral)

    def prepare_snapshot_directory(self, uuid: str) -> str:
        """Create and own the directory of the snapshots of a guest."""
        folder = super().prepare_snapshot_directory(uuid)
        write_owner(folder, self.host)
        return folder

    def has_disks(self, uuid: str) -> bool:
        """Return whether the root disk exists and this host owns it."""
        return self.is_owned(uuid) and super().has_disks(uuid)

    def has_retained_disks(self, uuid: str) -> bool:
        """Return whether this host has retained disks."""
        return self.is_owned(f'{uuid}_resize') and super().has_retained_disks(
            uuid
        )

    def restore_disks(self, uuid: str) -> None:
        """Rename the retained directory back; replace disks of any owner.

        The disks in its place belong to the guest of the other host, which is
        off and not needed any more.
        """
        if self.has_retained_disks(uuid):
            with (
                translate_os_errors(uuid),
                contextlib.suppress(FileNotFoundError),
            ):
                self.set_owner(uuid, self.host)
        super().restore_disks(uuid)


def write_owner(folder: str, host: str) -> None:
    """Write the owner of a directory, durably and in one rename."""
    path = os.path.join(folder, f'.{OWNER_FILE}.part')
    with open(path, 'w', encoding='utf-8') as file:
        file.write(f'{host}\n')
        file.flush()
        os.fsync(file.fileno())
    os.replace(path, os.path.join(folder, OWNER_FILE))
