# SPDX-License-Identifier: Apache-2.0
"""A disk from which a BIOS boots Linux, built without mounting anything.

::

    sector 0      GRUB's first stage and a partition table
    sector 1 on   the rest of GRUB and its commands
    1 MiB         the partition: an ext4 file system

Installing GRUB into a mounted disk needs loop devices and so root. Here both
parts are written to their places: the first stage loads the second from sector
1 by default. The partition table is that of a PC: four entries of 16 bytes
from byte 446, and a signature.
"""

import os
import struct
from typing import Final

from minova import exception
from minova.rig import subprocesses

#: The modules of GRUB that ``GRUB_COMMANDS`` needs.
GRUB_MODULES: Final = (
    *('biosdisk', 'part_msdos', 'ext2'),
    *('search_label', 'linux', 'serial', 'terminal'),
)
LABEL: Final = 'debian'
#: GRUB's commands: find the file system and boot the kernel there.
GRUB_COMMANDS: Final = f"""\
serial --unit=0 --speed=115200
terminal_output serial console
search.fs_label {LABEL} root
linux /vmlinuz root=LABEL={LABEL} ro console=tty0 console=ttyS0 no_timer_check
initrd /initrd.img
boot
"""

_SECTOR: Final = 512
_MIB: Final = 1 << 20
#: The offset of the table, after the code and the disk signature.
_CODE, _TABLE = 440, 446
_ACTIVE, _LINUX = 0x80, 0x83
#: Sectors are numbered linearly; these old addresses mean "beyond".
_BEYOND: Final = b'\xfe\xff\xff'
_BOOTABLE: Final = b'\x55\xaa'


def write_disk(
    path: str, tar: str, boot: bytes, core: bytes, size: int
) -> None:
    """Write a disk of ``size`` bytes with the files of an archive.

    ``boot`` and ``core`` are the parts of GRUB. fakeroot unpacks the archive
    beside the disk and keeps the owners of the files.
    """
    if len(core) > _MIB - _SECTOR:
        raise exception.ConfigInvalid(
            reason=f'GRUB has {len(core)} bytes, too many for the space '
            'before the partition'
        )
    with open(path, 'wb') as file:
        file.truncate(size)
    root = os.path.join(os.path.dirname(path), 'root')
    subprocesses.find('tar')
    subprocesses.run(
        'fakeroot',
        *('sh', '-e', '-c'),
        'mkdir "$2"; tar -xf "$1" -C "$2"; shift 2; exec "$@"',
        *('sh', tar, root),
        subprocesses.find('mke2fs'),
        *('-q', '-t', 'ext4', '-L', LABEL),
        # Otherwise the guest does it at its first boot, slowly.
        *('-E', f'offset={_MIB},lazy_itable_init=0'),
        *('-d', root, path, f'{(size - _MIB) >> 10}k'),
    )
    with open(path, 'r+b') as file:
        file.write(_first_sector(boot, size))
        file.write(core)


def _first_sector(boot: bytes, size: int) -> bytes:
    first, count = _MIB // _SECTOR, (size - _MIB) // _SECTOR
    entry = struct.pack(
        '<B3sB3sII', _ACTIVE, _BEYOND, _LINUX, _BEYOND, first, count
    )
    head = boot[:_CODE].ljust(_TABLE, b'\0') + entry
    return head.ljust(_SECTOR - len(_BOOTABLE), b'\0') + _BOOTABLE
