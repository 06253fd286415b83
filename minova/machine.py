# SPDX-License-Identifier: Apache-2.0
"""Which machine this is, for what can be reached from nowhere else.

A loopback address or the path of a socket means something else on every
machine, and in every container. Two processes that get the same name here
reach the same things by them.
"""

import os

_BOOT = '/proc/sys/kernel/random/boot_id'


def network() -> str:
    """Return the name of what this process reaches by loopback addresses."""
    return _space('net')


def files() -> str:
    """Return the name of what this process reaches by paths."""
    return _space('mnt')


def _space(kind: str) -> str:
    with open(_BOOT, encoding='ascii') as file:
        boot = file.read().strip()
    number = os.stat(f'/proc/self/ns/{kind}').st_ino
    return f'{boot}/{kind}/{number}'
