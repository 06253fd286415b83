# SPDX-License-Identifier: Apache-2.0
"""Disks that are sparse files with the unchanged data of the image."""

import os

from minova.virt.driver import GuestSpec
from minova.virt.libvirt.disks import RESCUE_DISK
from minova.virt.libvirt.sparse_files import copy_sparse
from minova.virt.libvirt.sparse_files import extend_file


class PlainFileBackend:
    """A backend that stores the image's data as it is.

    A disk takes only the space of the data written to it. The backend does not
    parse images: growing a qcow2 disk extends the file, not the virtual disk.
    """

    def format_of(self, name: str, spec: GuestSpec) -> str:
        """Return the format that the image service names, never the file's.

        A guest can write anything to a raw disk, including a qcow2 header
        that names files of the host.
        """
        images = {'disk': spec.image, RESCUE_DISK: spec.rescue or {}}
        if images.get(name, {}).get('disk_format') == 'qcow2':
            return 'qcow2'
        return 'raw'

    def make(
        self,
        spec: GuestSpec,
        name: str,
        path: str,
        size: int,
        image: str | None,
    ) -> None:
        """Copy the image's data and extend the file to ``size``."""
        if image is None:
            with open(path, 'wb') as file:
                extend_file(file.fileno(), size)
                os.fsync(file.fileno())
        else:
            copy_sparse(image, path, size)

    def grow(self, path: str, size: int) -> None:
        """Extend the file to ``size``."""
        with open(path, 'r+b') as file:
            extend_file(file.fileno(), size)
            os.fsync(file.fileno())
