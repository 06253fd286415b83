# SPDX-License-Identifier: Apache-2.0
"""What libvirt knows of the QEMU programs, kept for other hosts.

A libvirtd starts each QEMU program to learn its features, which takes about
ten seconds, and keeps the answers as files below ``XDG_CACHE_HOME``. Hosts on
one machine have the same programs, so a new host gets the files of an earlier
one. Each libvirtd compares them with the programs, with itself and with the
machine, and asks again when they are outdated.
"""

import os
import shutil
from typing import Final

#: The directory of the files below ``XDG_CACHE_HOME``.
_PATH: Final = 'libvirt/qemu/cache/capabilities'
#: The end of a file that is complete.
_END: Final = b'</qemuCaps>\n'


def give(kept: str, cache: str) -> None:
    """Copy the files in the directory ``kept`` to the cache of a host."""
    _copy(kept, os.path.join(cache, _PATH))


def keep(cache: str, kept: str) -> None:
    """Copy what a host has learned to the directory ``kept``."""
    _copy(os.path.join(cache, _PATH), kept)


def _copy(source: str, target: str) -> None:
    """Copy the complete files that are newer; another process may do so."""
    if not os.path.isdir(source):
        return
    os.makedirs(target, exist_ok=True)
    for name in os.listdir(source):
        path, copy = os.path.join(source, name), os.path.join(target, name)
        if not name.endswith('.xml') or not _is_complete(path):
            continue
        if not os.path.exists(copy) or (
            os.path.getmtime(copy) < os.path.getmtime(path)
        ):
            unfinished = f'{copy}.{os.getpid()}'
            shutil.copy2(path, unfinished)
            os.replace(unfinished, copy)


def _is_complete(path: str) -> bool:
    with open(path, 'rb') as file:
        return file.read().endswith(_END)
