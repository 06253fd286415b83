# SPDX-License-Identifier: Apache-2.0
"""Programs of this machine, run to their end: qemu-img, mkfs, apt and others.

Errors name the Debian package of a program that is missing, and repeat the
last words of one that fails.
"""

from collections.abc import Mapping
import os
import shutil
import subprocess
from typing import Final

from oslo_concurrency import processutils

#: Where programs are; those of the system's administration are not on
#: everybody's path.
PATH: Final = os.pathsep.join(
    (os.environ.get('PATH', os.defpath), '/usr/sbin', '/sbin')
)
#: The Debian package of each program that is asked for by its name.
PACKAGES: Final[Mapping[str, str]] = {
    'apt-cache': 'apt',
    'apt-config': 'apt',
    'apt-get': 'apt',
    'busybox': 'busybox-static',
    'dnsmasq': 'dnsmasq-base',
    'dpkg': 'dpkg',
    'fakeroot': 'fakeroot',
    'hostname': 'hostname',
    'iptables': 'iptables',
    'libvirtd': 'libvirt-daemon',
    'mke2fs': 'e2fsprogs',
    'mkswap': 'util-linux',
    'mmdebstrap': 'mmdebstrap',
    'mount': 'mount',
    'newuidmap': 'uidmap',
    'qemu-img': 'qemu-utils',
    'qemu-system-x86_64': 'qemu-system-x86',
    'sh': 'dash',
    'tar': 'tar',
    'unshare': 'util-linux',
}
#: Seconds for which a program is waited for unless more is said: those that
#: read and write headers and tables hang on their storage when they take
#: longer.
DEFAULT_TIMEOUT: Final = 60


def find(name: str) -> str:
    """Return where a program is; OSError names its package.

    One that is named by its path is there; what keeps it from running is said
    when it is run.
    """
    if os.path.dirname(name):
        return name
    path = shutil.which(name, path=PATH)
    if path is None:
        package = PACKAGES.get(name)
        known = '' if package is None else f' (Debian package {package})'
        raise OSError(f'{name} is missing{known}')
    return path


def run(
    name: str,
    *args: str,
    stdin: bytes | None = None,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    limits: processutils.ProcessLimits | None = None,
    timeout: int | None = DEFAULT_TIMEOUT,
) -> bytes:
    """Run a program to its end and return what it says.

    ``given`` is what it reads; ``environment`` its whole environment, by
    default this process's with the words of locale C.

    OSError with its own last words if it fails, cannot be run, or has not
    ended within ``patience`` seconds, when it is killed.
    """
    if env is None:
        env = os.environ | {'PATH': PATH, 'LC_ALL': 'C'}
    try:
        output, _ = processutils.execute(
            find(name),
            *args,
            process_input=stdin,
            cwd=cwd,
            env_variables=dict(env),
            prlimit=limits,
            timeout=timeout,
            on_completion=_kill,
            binary=True,
        )
    except processutils.ProcessExecutionError as error:
        # Text, although bytes were asked for.
        lines = str(error.stderr or '').strip().splitlines()
        last = lines[-1] if lines else f'exit code {error.exit_code}'
        short = os.path.basename(name)
        raise OSError(f'{short}: {last.removeprefix(f"{short}: ")}') from error
    except subprocess.TimeoutExpired as error:
        raise OSError(
            f'{" ".join((name, *args))} has not ended within {timeout} s'
        ) from error
    assert isinstance(output, bytes)
    return output


def _kill(process: 'subprocess.Popen[bytes]') -> None:
    """End a program that was not waited for to its end."""
    if process.poll() is None:
        process.kill()
        process.communicate()
