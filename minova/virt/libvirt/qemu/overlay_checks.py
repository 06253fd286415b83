# SPDX-License-Identifier: Apache-2.0
"""Disks that stand on a base: what qemu-img says of them, and is told.

A disk is only ever read as what it was made as: a guest could write the
beginning of another format, with names of files of the host, to a raw one.
And a base is only ever a file of the image cache.
"""

import dataclasses
import os

from minova import subprocesses
from minova.virt.libvirt.qemu import qcow2


class ForeignBackingFile(OSError):
    """A disk stands on something that is not in the image cache."""


@dataclasses.dataclass(frozen=True)
class BaseImage:
    """What a disk stands on: a name in the image cache, and its format."""

    name: str
    format: str


class OverlayChecker:
    """The qcow2 disks of a host whose bases are in an image cache.

    ``names`` are the disks, of all a guest has, that may stand on one.
    """

    def __init__(self, cache: str, names: tuple[str, ...] = ('disk',)) -> None:
        self.cache = os.path.abspath(cache)
        self.names = names

    def find_base(self, path: str) -> BaseImage | None:
        """Return what a disk stands on; None for one that stands alone.

        Raises ForeignBackingFile, or OSError in the words of qemu-img.
        """
        chain = qcow2.backing_chain(path)
        if len(chain) == 1:
            return None
        found = str(chain[0].get('full-backing-filename') or '')
        folder, name = os.path.split(os.path.normpath(found))
        if folder != self.cache or os.path.islink(found):
            raise ForeignBackingFile(
                f'{path} stands on {found}, which is no file of the image '
                f'cache {self.cache}'
            )
        if len(chain) > 2:
            raise ForeignBackingFile(f'{found} stands on yet another file')
        return BaseImage(name, str(chain[1]['format']))

    def check_base(self, path: str, base: BaseImage | None) -> None:
        """Let a disk that came stand on a base of this host, or on none."""
        info = qcow2.image_info(path, 'qcow2')
        backing = info.get('backing-filename')
        if base is None:
            if backing is not None:
                raise ForeignBackingFile(
                    f'{os.path.basename(path)} came with the base {backing}, '
                    'which was not announced'
                )
            return
        wanted = os.path.join(self.cache, base.name)
        if backing is None:
            raise ForeignBackingFile(
                f'{os.path.basename(path)} came without its base {base.name}'
            )
        known = info.get('backing-filename-format')
        if (backing, known) != (wanted, base.format):
            subprocesses.run(
                *('qemu-img', 'rebase', '-u', '-f', 'qcow2'),
                *('-b', wanted, '-F', base.format, path),
            )
            with open(path, 'rb') as file:
                os.fsync(file.fileno())
