# SPDX-License-Identifier: Apache-2.0
"""Which QEMU a program is, and from which on one may be trusted with moves.

QEMU 7.2, Debian 12's, corrupts the memory of guests with emulated processors
that change it while they are moved. QEMU 10 was not seen to.
"""

import functools
import os
import re
from typing import Final

from minova import subprocesses

#: The first that is known to be sound, as versions are counted here.
MIN_SAFE_VERSION: Final = 10_000_000


def get_version(path: str) -> int:
    """Return the version of an emulator as libvirt counts: 7.2.1 is 7002001.

    OSError when it does not say.
    """
    # What is at a path may be replaced while this process lives.
    return _version(path, os.stat(path).st_mtime_ns)


@functools.cache
def _version(path: str, changed: int) -> int:
    said = subprocesses.run(path, '--version').decode()
    found = re.search(r'version (\d+)\.(\d+)(?:\.(\d+))?', said)
    if found is None:
        raise OSError(f'{path} --version says no version: {said[:100]}')
    major, minor, micro = (int(part or 0) for part in found.groups())
    return major * 1_000_000 + minor * 1_000 + micro
