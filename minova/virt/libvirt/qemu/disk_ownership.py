# SPDX-License-Identifier: Apache-2.0
"""Disks of which other hosts may see the same directory.

Whose a directory of disks is stands in it, in a file with the name of the
host. It says so whoever looks, so a host neither lists, uses nor removes what
is another one's, and a guest's disks change hands by one rename. What has no
such file belongs to whoever sees it.
"""

import contextlib
import os

from minova import exception
from minova.virt.driver import GuestSpec
from minova.virt.libvirt.disks import DiskBackend
from minova.virt.libvirt.disks import Disks
from minova.virt.libvirt.disks import translate_os_errors

#: The file that names the owner, in a directory of disks.
OWNER_FILE = 'host'


class OwnedDisks(Disks):
    """The disks of ``host`` below a directory that it may not have alone."""

    def __init__(
        self, directory: str, backend: DiskBackend, host: str
    ) -> None:
        super().__init__(directory, backend)
        self.host = host

    # -- whose they are ------------------------------------------------------

    def get_owner(self, name: str) -> str | None:
        """Return whose a directory is, None when that is not said."""
        path = os.path.join(self.directory, name, OWNER_FILE)
        try:
            with open(path, encoding='utf-8') as file:
                return file.read().strip() or None
        except (FileNotFoundError, NotADirectoryError):
            return None

    def is_owned(self, name: str) -> bool:
        """Tell whether a directory is this host's, or nobody's."""
        return self.get_owner(name) in (None, self.host)

    def set_owner(self, name: str, host: str) -> None:
        """Let a directory be another host's, in one instant."""
        write_owner(os.path.join(self.directory, name), host)

    def require_disks(self, uuid: str) -> None:
        """Raise DiskFailed unless the disks are here, and this host's."""
        other = self.get_owner(uuid)
        if other not in (None, self.host):
            raise exception.DiskFailed(
                instance_id=uuid,
                reason=f'the disks in {self.guest_directory(uuid)} are those of host '
                f'{other}',
            )
        super().require_disks(uuid)

    # -- the interface -------------------------------------------------------

    def create_disks(self, spec: GuestSpec, image: str | None) -> None:
        """Make what is missing, unless another host has disks of it here."""
        folder = self.guest_directory(spec.uuid)
        with translate_os_errors(spec.uuid):
            if os.path.isdir(folder) and not self.is_owned(spec.uuid):
                self.require_disks(spec.uuid)
            os.makedirs(folder, exist_ok=True)
            write_owner(folder, self.host)
        super().create_disks(spec, image)

    def has_disks(self, uuid: str) -> bool:
        """Tell whether the root disk is there, and this host's."""
        return self.is_owned(uuid) and super().has_disks(uuid)

    def has_retained_disks(self, uuid: str) -> bool:
        """Tell whether this host has set disks aside."""
        return self.is_owned(f'{uuid}_resize') and super().has_retained_disks(
            uuid
        )

    def restore_disks(self, uuid: str) -> None:
        """Rename the directory back, whosever what is in its place is.

        That stands for what the guest has become elsewhere; it is off there
        and not wanted any more.
        """
        if self.has_retained_disks(uuid):
            with (
                translate_os_errors(uuid),
                contextlib.suppress(FileNotFoundError),
            ):
                self.set_owner(uuid, self.host)
        super().restore_disks(uuid)


def write_owner(folder: str, host: str) -> None:
    """Write whose a directory is, on the disk before it has its name."""
    path = os.path.join(folder, f'.{OWNER_FILE}.part')
    with open(path, 'w', encoding='utf-8') as file:
        file.write(f'{host}\n')
        file.flush()
        os.fsync(file.fileno())
    os.replace(path, os.path.join(folder, OWNER_FILE))
