# SPDX-License-Identifier: Apache-2.0
"""The backing file of a qcow2 disk, read from its header.

The format is QEMU's ``docs/interop/qcow2.txt``. A guest can write such a
header to a raw disk: a path found here may protect a file from removal but
must never be opened.
"""

import os
import struct

_HEADER = struct.Struct('>4sIQI')
_MAGIC = b'QFI\xfb'
#: The maximum length of the name in the format.
_MAX_NAME = 1023


def read_backing_file(path: str) -> str | None:
    """Return the path of the backing file, None without one.

    A relative name is resolved against the directory of the disk. OSError.
    """
    with open(path, 'rb') as file:
        head = file.read(_HEADER.size)
        if len(head) < _HEADER.size:
            return None
        magic, _, offset, length = _HEADER.unpack(head)
        if magic != _MAGIC or not offset or not 0 < length <= _MAX_NAME:
            return None
        # The name is in the first cluster, which has at most 2 MiB.
        if offset > 2 << 20:
            return None
        file.seek(offset)
        name = os.fsdecode(file.read(length)).removeprefix('file:')
    if '\0' in name:
        return None
    return os.path.normpath(os.path.join(os.path.dirname(path), name))
