# SPDX-License-Identifier: Apache-2.0
"""The identity of a machine, for addresses that are valid only on it.

A loopback address or the path of a socket is valid on one machine, in one
container. Two processes with the same id here reach the same target by the
same address or path.
"""

import os

_BOOT_ID_PATH = '/proc/sys/kernel/random/boot_id'


def network_namespace_id() -> str:
    """Return the id of the network namespace, for loopback addresses."""
    return _namespace_id('net')


def mount_namespace_id() -> str:
    """Return the id of the mount namespace, for paths."""
    return _namespace_id('mnt')


def _namespace_id(kind: str) -> str:
    with open(_BOOT_ID_PATH, encoding='ascii') as file:
        boot = file.read().strip()
    number = os.stat(f'/proc/self/ns/{kind}').st_ino
    return f'{boot}/{kind}/{number}'
