# SPDX-License-Identifier: Apache-2.0
"""The config drive of a guest that moves while it runs.

libvirt copies no disk that is only read, so a destination that does not see
it makes its own. That is the same, byte for byte, unless what it is made from
has changed since: the guest's name, its metadata. The guest may have the
drive mounted and goes on with what it remembers of it; to such a guest the
very drive is sent, within the plan of the move.
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

#: Bytes that a plan may hold of a drive. What a user may put on one is less:
#: the largest script, of which there are three copies, and metadata.
_MAX_PACKED = 256 << 10


def drive_digest(spec: GuestSpec) -> str | None:
    """Return which drive would be made for a guest, None for none."""
    if spec.config_drive is None:
        return None
    return hashlib.sha256(configdrive.build_image(spec)).hexdigest()


def changed_drive(folder: str, expected_digest: str | None) -> str | None:
    """Return the drive among a guest's disks as a plan can hold it.

    None when there is none, or when it is the one that was told.
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
            reason=f'the config drive {file.name} was not made by this '
            f'release and has {len(packed)} bytes when it is packed, more '
            f'than the {_MAX_PACKED} that are sent; move the guest while it is off'
        )
    return packed


def write_drive(folder: str, packed: str | None) -> None:
    """Write the drive that a plan holds, if any, unless one is there."""
    if packed is not None:
        content = base64.b64decode(packed)
        write_config_drive(folder, lambda: lzma.decompress(content))
