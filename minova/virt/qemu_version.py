# SPDX-License-Identifier: Apache-2.0
"""The version of a QEMU program, and the first one that migrates TCG safely.

QEMU 7.2, which Debian 12 has, corrupts the memory of guests with emulated
processors that change it during a live migration. QEMU 10 does not.
"""

import functools
import os
import re
from typing import Final

from minova import subprocesses

#: The first version that is known to be safe.
MIN_SAFE_VERSION: Final = 10_000_000


def get_version(path: str) -> int:
    """Return the version of an emulator as libvirt counts: 7.2.1 is 7002001.

    OSError when the program does not report a version.
    """
    # The file may be replaced while this process runs.
    return _version(path, os.stat(path).st_mtime_ns)


@functools.cache
def _version(path: str, changed: int) -> int:
    output = subprocesses.run(path, '--version').decode()
    found = re.search(r'version (\d+)\.(\d+)(?:\.(\d+))?', output)
    if found is None:
        raise OSError(f'{path} --version reports no version: {output[:100]}')
    major, minor, micro = (int(part or 0) for part in found.groups())
    return major * 1_000_000 + minor * 1_000 + micro
