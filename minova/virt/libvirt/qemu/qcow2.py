# SPDX-License-Identifier: Apache-2.0
"""The disks of QEMU hosts: files that QEMU itself makes and grows.

The root disk is a qcow2 overlay: it holds what differs from the image, whose
file in the cache of images is its backing file and never changes. Ephemeral
and swap disks are sparse raw files, with a file system or a swap area made in
them.
"""

from collections.abc import Mapping
import os
from typing import Any

import orjson
from oslo_concurrency import processutils

from minova.subprocesses import run
from minova.virt.driver import GuestSpec
from minova.virt.libvirt.disks import extend_file
from minova.virt.libvirt.disks import RESCUE_DISK

#: What a guest starts from: disks that are overlays.
BOOT_DISKS = ('disk', RESCUE_DISK)
#: The formats in which images are taken, and QEMU's names for them.
_FORMATS = {'raw': 'raw', 'ami': 'raw', 'qcow2': 'qcow2'}
#: What looking into a user's file may cost: enough for any real one.
_LIMITS = processutils.ProcessLimits(cpu_time=30, address_space=1 << 30)


class OverlayBackend:
    """Root disks as overlays of images, other disks as raw files."""

    def format_of(self, name: str, spec: GuestSpec) -> str:
        """Only what QEMU has made itself is read as qcow2."""
        return 'qcow2' if name in BOOT_DISKS else 'raw'

    def make(
        self,
        spec: GuestSpec,
        name: str,
        path: str,
        size: int,
        image: str | None,
    ) -> None:
        """Make a disk; OSError says what is wrong with it."""
        if name in BOOT_DISKS:
            image_meta = (
                spec.rescue or {} if name == RESCUE_DISK else spec.image
            )
            make_overlay(path, size, image, image_format(image_meta))
            return
        with open(path, 'wb') as file:
            extend_file(file.fileno(), size)
        if name == 'disk.swap':
            run('mkswap', path)
        else:
            # Its tables are made by the guest's system when it first mounts.
            run(
                'mke2fs',
                *('-q', '-F', '-t', 'ext4', '-L', 'ephemeral0'),
                *('-E', 'lazy_itable_init=1,lazy_journal_init=1', path),
            )
        _sync(path)

    def grow(self, path: str, size: int) -> None:
        """Make a disk larger; one that is larger already stays."""
        if os.path.basename(path) == 'disk':
            if virtual_size(path, 'qcow2') < size:
                run('qemu-img', 'resize', '-q', '-f', 'qcow2', path, str(size))
        else:
            with open(path, 'r+b') as file:
                extend_file(file.fileno(), size)
        _sync(path)


def make_overlay(
    path: str, size: int, image: str | None, image_format: str
) -> None:
    """Make a qcow2 file of ``size`` bytes over an image's file.

    With a size of 0 it is as large as the image, which must not be larger
    than the size else. Without an image it is empty.
    """
    words = ['qemu-img', 'create', '-q', '-f', 'qcow2']
    if image is not None:
        least = virtual_size(image, image_format)
        if size and least > size:
            raise OSError(
                f'the image is a disk of {least} bytes, which is more than '
                f'the {size} bytes of the flavor'
            )
        # What QEMU reads whole sectors of is never a part of one.
        size = max(size, -(-least // 512) * 512)
        words += ['-b', os.path.abspath(image), '-F', image_format]
    run(*words, path, str(size))
    _sync(path)


def image_format(image_meta: Mapping[str, Any]) -> str:
    """Return QEMU's name for the format of an image, by what is kept of it.

    It is what the image service says, never what the file looks like: a guest
    could write the beginning of a qcow2 file to a raw disk.
    """
    disk_format = image_meta.get('disk_format') or 'raw'
    if disk_format not in _FORMATS:
        raise OSError(
            f'images of the format {disk_format} are not taken; there are '
            f'{", ".join(sorted(_FORMATS))}'
        )
    return _FORMATS[disk_format]


def virtual_size(path: str, image_format: str) -> int:
    """Return the bytes of the disk that a file describes."""
    return int(image_info(path, image_format)['virtual-size'])


def image_info(path: str, image_format: str) -> dict[str, Any]:
    """Return what QEMU says of a file, which a guest may be using."""
    found: dict[str, Any] = _qemu_img_info(path, image_format)
    return found


def backing_chain(path: str) -> list[dict[str, Any]]:
    """Return the same of a qcow2 file and of all that it stands on."""
    found: list[dict[str, Any]] = _qemu_img_info(
        path, 'qcow2', '--backing-chain'
    )
    return found


def _qemu_img_info(path: str, image_format: str, *words: str) -> Any:
    said = run(
        *('qemu-img', 'info', '-U', '--output=json', '-f', image_format),
        *words,
        path,
        limits=_LIMITS,
    )
    return orjson.loads(said)


def _sync(path: str) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
