# SPDX-License-Identifier: Apache-2.0
"""Disks that QEMU creates and grows with qemu-img.

The root disk is a qcow2 overlay: it holds the difference to the image, whose
file in the image cache is the backing file and never changes. Ephemeral and
swap disks are sparse raw files, formatted with a file system or as swap.
"""

from collections.abc import Mapping
import os
from typing import NotRequired
from typing import TypedDict

import orjson
from oslo_concurrency import processutils

from minova.subprocesses import run
from minova.virt.driver import GuestSpec
from minova.virt.libvirt.disks import RESCUE_DISK
from minova.virt.libvirt.sparse_files import extend_file

#: The disks that guests boot; they are overlays.
BOOT_DISKS = ('disk', RESCUE_DISK)
#: QEMU's names for the supported image formats.
_FORMATS = {'raw': 'raw', 'ami': 'raw', 'qcow2': 'qcow2'}
_GIB = 1 << 30
#: Limits for qemu-img on a user's file, enough for real images.
_LIMITS = processutils.ProcessLimits(cpu_time=30, address_space=1 << 30)

#: The parts of qemu-img's description that are used; qemu-img omits the names
#: of backing files that a file does not have.
ImageInfo = TypedDict(
    'ImageInfo',
    {
        'format': str,
        'virtual-size': int,
        'backing-filename': NotRequired[str],
        'full-backing-filename': NotRequired[str],
        'backing-filename-format': NotRequired[str],
    },
)


class OverlayBackend:
    """Root disks as overlays of images, other disks as raw files."""

    def format_of(self, name: str, spec: GuestSpec) -> str:
        """Return qcow2 only for what QEMU created here."""
        return 'qcow2' if name in BOOT_DISKS else 'raw'

    def make(
        self,
        spec: GuestSpec,
        name: str,
        path: str,
        size: int,
        image: str | None,
    ) -> None:
        """Create a disk; OSError says why that failed."""
        if name in BOOT_DISKS:
            image_meta = (
                spec.rescue or {} if name == RESCUE_DISK else spec.image
            )
            make_overlay(
                path,
                size,
                image,
                image_format(image_meta),
                spec.max_root_gb * _GIB,
            )
            return
        with open(path, 'wb') as file:
            extend_file(file.fileno(), size)
        if name == 'disk.swap':
            run('mkswap', path)
        else:
            # The guest initializes the tables when it first mounts the disk.
            run(
                'mke2fs',
                *('-q', '-F', '-t', 'ext4', '-L', 'ephemeral0'),
                *('-E', 'lazy_itable_init=1,lazy_journal_init=1', path),
            )
        _sync(path)

    def grow(self, path: str, size: int) -> None:
        """Grow a disk; a larger one stays."""
        if os.path.basename(path) == 'disk':
            if virtual_size(path, 'qcow2') < size:
                run('qemu-img', 'resize', '-q', '-f', 'qcow2', path, str(size))
        else:
            with open(path, 'r+b') as file:
                extend_file(file.fileno(), size)
        _sync(path)


def make_overlay(
    path: str,
    size: int,
    image: str | None,
    image_format: str,
    claimed: int = 0,
) -> None:
    """Create a qcow2 file of ``size`` bytes over the file of an image.

    Size 0 means the size of the image, of at most ``claimed`` bytes unless
    that is 0, unknown. Another size must not be smaller than the image.
    Without an image the disk is empty.
    """
    args = ['qemu-img', 'create', '-q', '-f', 'qcow2']
    if image is not None:
        least = virtual_size(image, image_format)
        largest = size or claimed
        if largest and least > largest:
            raise OSError(
                f'the image has a virtual size of {least} bytes, and only '
                f'{largest} bytes are claimed for the disk'
            )
        # QEMU reads whole sectors.
        size = max(size, -(-least // 512) * 512)
        args += ['-b', os.path.abspath(image), '-F', image_format]
    run(*args, path, str(size))
    _sync(path)


def image_format(image_meta: Mapping[str, object]) -> str:
    """Return QEMU's name for the format of an image.

    The image service names the format, never the file: a guest could write a
    qcow2 header to a raw disk.
    """
    disk_format = image_meta.get('disk_format') or 'raw'
    if disk_format not in _FORMATS:
        raise OSError(
            f'image format {disk_format} is not supported; supported are '
            f'{", ".join(sorted(_FORMATS))}'
        )
    return _FORMATS[disk_format]


def virtual_size(path: str, image_format: str) -> int:
    """Return the bytes of the virtual disk in a file."""
    return int(image_info(path, image_format)['virtual-size'])


def image_info(path: str, image_format: str) -> ImageInfo:
    """Return qemu-img's description of a file, which may be in use."""
    found: ImageInfo = orjson.loads(_qemu_img_info(path, image_format))
    return found


def backing_chain(path: str) -> list[ImageInfo]:
    """Return the descriptions of a qcow2 file and all its backing files."""
    found: list[ImageInfo] = orjson.loads(
        _qemu_img_info(path, 'qcow2', '--backing-chain')
    )
    return found


def require_unlocked(path: str) -> None:
    """Raise OSError, with QEMU's message, while a QEMU has a disk open.

    QEMU locks the images of a running guest, also on network file systems.
    """
    # Without -U, qemu-img takes a lock that conflicts with that of a writer.
    run(
        *('qemu-img', 'info', '--output=json', '-f', 'qcow2', path),
        limits=_LIMITS,
    )


def _qemu_img_info(path: str, image_format: str, *args: str) -> bytes:
    return run(
        *('qemu-img', 'info', '-U', '--output=json', '-f', image_format),
        *args,
        path,
        limits=_LIMITS,
    )


def _sync(path: str) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
