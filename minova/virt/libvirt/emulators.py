# SPDX-License-Identifier: Apache-2.0
"""Which QEMU runs a guest, and whether it may be trusted with moving one."""

import functools
import os
import re
from typing import Any
from typing import Final
from xml.etree import ElementTree

from minova.virt.libvirt import programs
from minova.virt.libvirt.site import Site

#: QEMU 7.2 was seen to corrupt the memory of guests with emulated processors
#: that changed it while they were moved; 10.0 was not.
SOUND: Final = 10_000_000


def version(path: str) -> int:
    """Return the version of an emulator as libvirt counts: 7.2.1 is 7002001.

    OSError when it does not say.
    """
    # What is at a path may be replaced while this process lives.
    return _version(path, os.stat(path).st_mtime_ns)


@functools.cache
def _version(path: str, changed: int) -> int:
    said = programs.run(path, '--version')
    found = re.search(r'version (\d+)\.(\d+)(?:\.(\d+))?', said)
    if found is None:
        raise OSError(f'{path} --version says no version: {said[:100]}')
    major, minor, micro = (int(part or 0) for part in found.groups())
    return major * 1_000_000 + minor * 1_000 + micro


def default(opened: Any, site: Site) -> int:
    """Return the version of the emulator that new guests of a host get."""
    path = site.emulator
    if not path:
        told = opened.getDomainCapabilities(
            None, 'x86_64', None, site.virt_type
        )
        root = ElementTree.fromstring(told)  # noqa: S314  libvirt wrote it
        path = str(root.findtext('path'))
    return version(path)
