# SPDX-License-Identifier: Apache-2.0
"""Validation of the header of an uploaded qcow2 image.

QEMU's documentation specifies the format (``docs/interop``, "qcow2");
numbers are big-endian. An image with a backing file or an external data file
is refused: the hypervisor would open the file of the host that the header
names, and the guest could read any file of the host.
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
#: Incompatible features, bits 0 to 4: dirty refcounts, corrupt, external data
#: file, compression type, extended L2 entries.
_KNOWN = 0b11111


def virtual_size(head: bytes) -> int:
    """Return the virtual disk size in bytes, from the first bytes of a file.

    Raises InvalidInput for another format, or a qcow2 file that is refused.
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
    """Raise InvalidInput for an incompatible feature that is not allowed."""
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
