# SPDX-License-Identifier: Apache-2.0
"""The checks of overlays: qcow2 disks with a base in the image cache.

A disk is only read with the format it was created with: a guest could write
the header of another format, which names files of the host, to a raw disk. A
base is always a file in the image cache. The header of a file from another
host is checked before qemu-img opens it, which opens the files that it names.
"""

import dataclasses
import os

from minova import exception
from minova import subprocesses
from minova.images import qcow2 as qcow2_format
from minova.virt.libvirt.qemu import qcow2


class ForeignBackingFile(OSError):
    """The base of a disk is not in the image cache."""


class UnsafeHeader(OSError):
    """The header of a qcow2 file names other files, or is not valid."""


def check_base_file(path: str, base_format: str) -> None:
    """Raise UnsafeHeader unless a received base can be an image."""
    if base_format == 'qcow2':
        check_header(path, may_have_backing_file=False)
        return
    with open(path, 'rb') as file:
        if file.read(len(qcow2_format.MAGIC)) == qcow2_format.MAGIC:
            raise UnsafeHeader(
                f'{os.path.basename(path)} is qcow2, not {base_format}'
            )


def check_header(path: str, may_have_backing_file: bool) -> None:
    """Raise UnsafeHeader unless a qcow2 file can be opened safely."""
    with open(path, 'rb') as file:
        try:
            qcow2_format.check_file(file, may_have_backing_file)
        except exception.InvalidInput as error:
            raise UnsafeHeader(
                f'{os.path.basename(path)}: {error.kwargs["reason"]}'
            ) from error


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
        """Rebase a received disk to the base of this host, if it has one.

        Raises ForeignBackingFile, UnsafeHeader, or OSError with the message of
        qemu-img.
        """
        check_header(path, may_have_backing_file=True)
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
