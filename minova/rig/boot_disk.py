# SPDX-License-Identifier: Apache-2.0
"""A disk from which a BIOS boots Linux, made without mounting anything.

::

    sector 0      GRUB's first stage, and a table with one partition
    sector 1 on   the rest of GRUB, with the few words that it obeys
    1 MiB         the partition: an ext4 file system of what a directory holds

The usual way, to install GRUB into a mounted disk, needs loop devices and so
root. Here its two parts are laid where they are looked for: the first stage
loads the second from sector 1, unless it is told otherwise. The table is that
of every PC: four entries of 16 bytes from byte 446, and a signature.
"""

import os
import struct
from typing import Final

from minova import exception
from minova.rig import subprocesses

#: The modules of GRUB that ``COMMANDS`` needs.
GRUB_MODULES: Final = (
    *('biosdisk', 'part_msdos', 'ext2'),
    *('search_label', 'linux', 'serial', 'terminal'),
)
LABEL: Final = 'debian'
#: What GRUB does: it looks for the file system and starts what is there.
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
#: Where the table begins, behind code and the signature of the disk.
_CODE, _TABLE = 440, 446
_ACTIVE, _LINUX = 0x80, 0x83
#: Sectors are counted through; the old way of it says "beyond".
_BEYOND: Final = b'\xfe\xff\xff'
_BOOTABLE: Final = b'\x55\xaa'


def write_disk(
    path: str, tar: str, boot: bytes, core: bytes, size: int
) -> None:
    """Write a disk of ``size`` bytes that holds what is in an archive.

    ``boot`` and ``core`` are the parts of GRUB. The archive is unpacked
    beside the disk, by fakeroot, which remembers whose the files are.
    """
    if len(core) > _MIB - _SECTOR:
        raise exception.ConfigInvalid(
            reason=f'GRUB has {len(core)} bytes, too many before a partition'
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
        # Otherwise the guest does it at its first start, slowly.
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
