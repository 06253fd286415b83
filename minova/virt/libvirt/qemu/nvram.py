# SPDX-License-Identifier: Apache-2.0
"""The variables of a guest's UEFI firmware: a file among its disks.

The service creates the file, as it creates the disks: libvirt would create one
that only root may read. The file moves, is copied and removed with the disks.
"""

import os
import shutil

from minova.virt.libvirt.firmware import Firmware


def prepare(folder: str, retained: str, firmware: Firmware) -> None:
    """Create the variables unless they exist; nothing without ``folder``.

    A guest that was rebuilt goes on with those of its ``retained`` disks;
    another one begins with the template of the firmware. OSError when a file
    cannot be read or written.
    """
    path = os.path.join(folder, firmware.nvram_name)
    if os.path.exists(path) or not os.path.isdir(folder):
        return
    source = os.path.join(retained, firmware.nvram_name)
    if not os.path.exists(source):
        source = firmware.template
    part = os.path.join(folder, f'.{firmware.nvram_name}.part')
    with open(source, 'rb') as old, open(part, 'wb') as new:
        shutil.copyfileobj(old, new)
        new.flush()
        os.fsync(new.fileno())
    os.rename(part, path)
