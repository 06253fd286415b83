# SPDX-License-Identifier: Apache-2.0
"""The header of a qcow2 file, and refused files.

The format is QEMU's ``docs/interop/qcow2.txt``; numbers are big-endian. A
guest's disk must consist of the uploaded data alone: with a file that names
another one (a backing file, an external data file) the hypervisor would open
any file of the host that the author names.
"""

import struct

from minova import exception

MAGIC = b'QFI\xfb'
#: The number of bytes that ``virtual_size`` needs.
HEADER_BYTES = 104

_BASIC = struct.Struct('>4sIQIIQI')
_FEATURES = struct.Struct('>Q')
_FEATURES_AT = 72
_V2_BYTES = 72
_CORRUPT = 1 << 1
_EXTERNAL_DATA = 1 << 2
#: Dirty refcounts, corrupt, external data, compression type, extended L2.
_KNOWN = 0b11111


def virtual_size(head: bytes) -> int:
    """Return the size in bytes of the disk in a file with this header.

    InvalidInput for another format, or a refused qcow2 file.
    """
    if len(head) < _V2_BYTES or not head.startswith(MAGIC):
        raise _invalid_input('the data is not in the format qcow2.')
    (
        _magic,
        version,
        backing_offset,
        backing_length,
        cluster_bits,
        size,
        encryption,
    ) = _BASIC.unpack_from(head)
    if version not in (2, 3) or not 9 <= cluster_bits <= 21 or size >= 1 << 63:
        raise _invalid_input('the header of the qcow2 data is not valid.')
    if backing_offset or backing_length:
        raise _invalid_input('a qcow2 image must not have a backing file.')
    if encryption:
        raise _invalid_input('an encrypted qcow2 image cannot be booted.')
    if version > 2:
        if len(head) < HEADER_BYTES:
            raise _invalid_input('the header of the qcow2 data is cut off.')
        _check_features(_FEATURES.unpack_from(head, _FEATURES_AT)[0])
    return int(size)


def _check_features(features: int) -> None:
    """Raise InvalidInput for refused or unknown incompatible features."""
    if features & _EXTERNAL_DATA:
        raise _invalid_input(
            'a qcow2 image must not have an external data file.'
        )
    if features & _CORRUPT:
        raise _invalid_input('the qcow2 image is marked as corrupt.')
    if features & ~_KNOWN:
        raise _invalid_input('the qcow2 image needs unknown features.')


def _invalid_input(reason: str) -> exception.InvalidInput:
    return exception.InvalidInput(reason=reason)
