# SPDX-License-Identifier: Apache-2.0
"""The checks of overlays: qcow2 disks with a base in the image cache.

A disk is only read with the format it was created with: a guest could write
the header of another format, which names files of the host, to a raw disk. A
base is always a file in the image cache.
"""

import dataclasses
import os

from minova import subprocesses
from minova.virt.libvirt.qemu import qcow2


class ForeignBackingFile(OSError):
    """The base of a disk is not in the image cache."""


@dataclasses.dataclass(frozen=True)
class BaseImage:
    """The base of a disk: a name in the image cache, and its format."""

    name: str
    format: str


class OverlayChecker:
    """The overlays of a host whose bases are in an image cache.

    ``names`` are the disks of a guest that may be overlays.
    """

    def __init__(self, cache: str, names: tuple[str, ...] = ('disk',)) -> None:
        self.cache = os.path.abspath(cache)
        self.names = names

    def find_base(self, path: str) -> BaseImage | None:
        """Return the base of a disk, None without one.

        Raises ForeignBackingFile, or OSError with the message of qemu-img.
        """
        chain = qcow2.backing_chain(path)
        if len(chain) == 1:
            return None
        found = str(chain[0].get('full-backing-filename') or '')
        folder, name = os.path.split(os.path.normpath(found))
        if folder != self.cache or os.path.islink(found):
            raise ForeignBackingFile(
                f'{path} has the base {found}, which is not in the image '
                f'cache {self.cache}'
            )
        if len(chain) > 2:
            raise ForeignBackingFile(
                f'{found}, the base of a disk, has a base itself'
            )
        return BaseImage(name, str(chain[1]['format']))

    def check_base(self, path: str, base: BaseImage | None) -> None:
        """Rebase a received disk to the base of this host, if it has one."""
        info = qcow2.image_info(path, 'qcow2')
        backing = info.get('backing-filename')
        if base is None:
            if backing is not None:
                raise ForeignBackingFile(
                    f'{os.path.basename(path)} arrived with the base '
                    f'{backing}, which is not in the manifest'
                )
            return
        wanted = os.path.join(self.cache, base.name)
        if backing is None:
            raise ForeignBackingFile(
                f'{os.path.basename(path)} arrived without its base '
                f'{base.name}'
            )
        known = info.get('backing-filename-format')
        if (backing, known) != (wanted, base.format):
            subprocesses.run(
                *('qemu-img', 'rebase', '-u', '-f', 'qcow2'),
                *('-b', wanted, '-F', base.format, path),
            )
            with open(path, 'rb') as file:
                os.fsync(file.fileno())
