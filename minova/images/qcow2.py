# SPDX-License-Identifier: Apache-2.0
"""Validation of the header of a qcow2 file that comes from elsewhere.

QEMU's documentation specifies the format (``docs/interop``, "qcow2");
numbers are big-endian. A file with an external data file, and an image with a
backing file, is refused: the hypervisor would open the file of the host that
the header names, and the guest could read any file of the host. The check
itself never opens another file, as qemu-img may.
"""

import struct
from typing import BinaryIO

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
_HEADER_LENGTH = struct.Struct('>I')
_HEADER_LENGTH_AT = 100
_EXTENSION = struct.Struct('>II')
#: Header extensions: the names of an external data file and the keys of an
#: encrypted disk.
_DATA_FILE_NAME = 0x44415441
_ENCRYPTION_HEADER = 0x0537BE77
#: The maximum size of a cluster, which has the whole header.
_MAX_CLUSTER = 2 << 20


def check_file(file: BinaryIO, may_have_backing_file: bool) -> None:
    """Check the whole header of a qcow2 file, with its extensions.

    Raises InvalidInput as ``virtual_size`` does; with
    ``may_have_backing_file`` the file may be an overlay.
    """
    head = file.read(_MAX_CLUSTER)
    virtual_size(head, may_have_backing_file)
    _check_extensions(head)


def virtual_size(head: bytes, may_have_backing_file: bool = False) -> int:
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
    if (backing_offset or backing_length) and not may_have_backing_file:
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


def _check_extensions(head: bytes) -> None:
    """Raise InvalidInput for a header extension that names another file."""
    _magic, version, name_at, _, cluster_bits, _, _ = _BASIC.unpack_from(head)
    place = _V2_BYTES
    if version > 2:
        (place,) = _HEADER_LENGTH.unpack_from(head, _HEADER_LENGTH_AT)
    # The name of the backing file ends the extensions.
    end = min(len(head), name_at or len(head), 1 << cluster_bits)
    if not _V2_BYTES <= place <= end or (version > 2 and place < HEADER_BYTES):
        raise _invalid_input('the header of the qcow2 data is not valid.')
    while place + _EXTENSION.size <= end:
        kind, length = _EXTENSION.unpack_from(head, place)
        if not kind:
            return
        if kind == _DATA_FILE_NAME:
            raise _invalid_input(
                'a qcow2 image must not have an external data file.'
            )
        if kind == _ENCRYPTION_HEADER:
            raise _invalid_input('an encrypted qcow2 image cannot be booted.')
        place += _EXTENSION.size + -(-length // 8) * 8
    if place > end:
        raise _invalid_input('the header of the qcow2 data is not valid.')


def _invalid_input(reason: str) -> exception.InvalidInput:
    return exception.InvalidInput(reason=reason)
