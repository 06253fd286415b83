# SPDX-License-Identifier: Apache-2.0
"""Which machine this is, for what can be reached from nowhere else.

A loopback address or the path of a socket means something else on every
machine, and in every container. Two processes that get the same name here
reach the same things by them.
"""

import os

_BOOT_ID_PATH = '/proc/sys/kernel/random/boot_id'


def network_namespace_id() -> str:
    """Return the name of what this process reaches by loopback addresses."""
    return _namespace_id('net')


def mount_namespace_id() -> str:
    """Return the name of what this process reaches by paths."""
    return _namespace_id('mnt')


def _namespace_id(kind: str) -> str:
    with open(_BOOT_ID_PATH, encoding='ascii') as file:
        boot = file.read().strip()
    number = os.stat(f'/proc/self/ns/{kind}').st_ino
    return f'{boot}/{kind}/{number}'
