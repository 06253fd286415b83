# SPDX-License-Identifier: Apache-2.0
"""The config drive of a guest that migrates live.

libvirt does not copy read-only disks, so a destination without shared storage
builds the drive again. The result is identical, byte for byte, unless its
source changed since: the name of the guest or its metadata. The guest may have
mounted the drive and cached parts of it; then the source sends the drive
itself in LiveMigrateData.
"""

import base64
import hashlib
import lzma
import os

from minova import exception
from minova.virt import configdrive
from minova.virt.driver import GuestSpec
from minova.virt.libvirt.disks import CONFIG_DRIVE
from minova.virt.libvirt.disks import write_config_drive

#: The maximum size of a packed drive in bytes. The API's limits on user data
#: and metadata keep every drive that this release builds below it.
_MAX_PACKED = 256 << 10
#: The maxima of an unpacked drive, and of the memory to unpack it, in bytes. A
#: few bytes of LZMA can stand for gigabytes.
_MAX_UNPACKED = 4 << 20
_MAX_MEMORY = 64 << 20


def drive_digest(spec: GuestSpec) -> str | None:
    """Return the SHA-256 of the drive of a guest; None without a drive."""
    if spec.config_drive is None:
        return None
    return hashlib.sha256(configdrive.build_image(spec)).hexdigest()


def changed_drive(folder: str, expected_digest: str | None) -> str | None:
    """Return the packed drive of a guest, to send it.

    None without a drive, or when it has the digest that is expected.
    """
    try:
        with open(os.path.join(folder, CONFIG_DRIVE), 'rb') as file:
            content = file.read()
    except FileNotFoundError:
        return None
    if hashlib.sha256(content).hexdigest() == expected_digest:
        return None
    packed = base64.b64encode(lzma.compress(content)).decode('ascii')
    if len(packed) > _MAX_PACKED:
        raise exception.MigrationPreCheckError(
            reason=f'the config drive {file.name} has {len(packed)} bytes '
            f'when packed; at most {_MAX_PACKED} can be sent. Migrate the '
            'guest while it is off'
        )
    return packed


def write_drive(folder: str, packed: str | None) -> None:
    """Write a packed drive unless a drive exists.

    OSError for one that is too large or damaged.
    """
    if packed is not None:
        content = _unpack(packed)
        write_config_drive(folder, lambda: content)


def _unpack(packed: str) -> bytes:
    if len(packed) > _MAX_PACKED:
        raise OSError(
            f'the config drive of the source has {len(packed)} bytes when '
            f'packed; at most {_MAX_PACKED} are accepted'
        )
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, _MAX_MEMORY)
    try:
        content = decompressor.decompress(
            base64.b64decode(packed, validate=True), _MAX_UNPACKED
        )
    except (ValueError, lzma.LZMAError) as error:
        raise OSError(
            f'the config drive of the source cannot be unpacked: {error}'
        ) from error
    if not decompressor.eof:
        raise OSError(
            'the config drive of the source is incomplete, or has more than '
            f'{_MAX_UNPACKED} bytes'
        )
    return content
