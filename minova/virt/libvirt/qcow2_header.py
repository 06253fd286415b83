# SPDX-License-Identifier: Apache-2.0
"""On which file a qcow2 disk is made, by its header.

The format is QEMU's ``docs/interop/qcow2.txt``. A guest can write such a
header to a raw disk of its own: what is found here may keep a file from being
removed, and must never be opened.
"""

import os
import struct

_HEADER = struct.Struct('>4sIQI')
_MAGIC = b'QFI\xfb'
#: The longest name that the format has room for.
_MAX_NAME = 1023


def read_backing_file(path: str) -> str | None:
    """Return the path of the file that a disk is made on, None without one.

    A name that is not absolute is meant from the disk's directory. OSError.
    """
    with open(path, 'rb') as file:
        head = file.read(_HEADER.size)
        if len(head) < _HEADER.size:
            return None
        magic, _, offset, length = _HEADER.unpack(head)
        if magic != _MAGIC or not offset or not 0 < length <= _MAX_NAME:
            return None
        # The name is within the first cluster, which has 2 MiB at most.
        if offset > 2 << 20:
            return None
        file.seek(offset)
        name = os.fsdecode(file.read(length)).removeprefix('file:')
    if '\0' in name:
        return None
    return os.path.normpath(os.path.join(os.path.dirname(path), name))
