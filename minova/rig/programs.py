# SPDX-License-Identifier: Apache-2.0
"""Running programs of this machine, with errors that say what to do."""

from collections.abc import Mapping
import os
import shutil
from typing import Final

from oslo_concurrency import processutils

from minova import exception

#: Where programs of administrators are, too.
PATH: Final = os.pathsep.join(
    (os.environ.get('PATH', os.defpath), '/usr/sbin', '/sbin')
)
#: The Debian package of each program that a rig, or a test, may need.
PACKAGES: Final[Mapping[str, str]] = {
    'apt-cache': 'apt',
    'apt-config': 'apt',
    'apt-get': 'apt',
    'busybox': 'busybox-static',
    'dnsmasq': 'dnsmasq-base',
    'dpkg': 'dpkg',
    'fakeroot': 'fakeroot',
    'iptables': 'iptables',
    'libvirtd': 'libvirt-daemon',
    'mke2fs': 'e2fsprogs',
    'mmdebstrap': 'mmdebstrap',
    'newuidmap': 'uidmap',
    'qemu-img': 'qemu-utils',
    'qemu-system-x86_64': 'qemu-system-x86',
    'sh': 'dash',
    'tar': 'tar',
    'unshare': 'util-linux',
}


def find(name: str) -> str:
    """Return where a program is; ConfigInvalid names its package."""
    path = shutil.which(name, path=PATH)
    if path is None:
        raise exception.ConfigInvalid(
            reason=f'{name} is missing'
            + (
                f' (Debian package {PACKAGES[name]})'
                if name in PACKAGES
                else ''
            )
        )
    return path


def run(
    name: str,
    *words: str,
    cwd: str | None = None,
    environment: Mapping[str, str] | None = None,
    given: bytes | None = None,
) -> bytes:
    """Run a program to its end and return what it printed.

    ``given`` is what it reads. ConfigInvalid with its last line when it
    fails.
    """
    try:
        out, _ = processutils.execute(
            find(name),
            *words,
            cwd=cwd,
            env_variables=dict(environment) if environment else None,
            process_input=given,
            binary=True,
        )
    except processutils.ProcessExecutionError as error:
        # Text, although bytes were asked for.
        lines = str(error.stderr or '').splitlines()
        last = lines[-1] if lines else f'exit code {error.exit_code}'
        raise exception.ConfigInvalid(
            reason=f'{name} {" ".join(words)}: {last}'
        ) from error
    return out
