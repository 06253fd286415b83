# SPDX-License-Identifier: Apache-2.0
"""Programs that run to their end: qemu-img, mkfs, apt and others.

An error names the Debian package of a missing program, or has the last line
that a failed program printed.
"""

from collections.abc import Mapping
import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import tempfile
from typing import Final

from oslo_concurrency import processutils

from minova import cancellation

#: The search path; the PATH of a user may lack the sbin directories.
PATH: Final = os.pathsep.join(
    (os.environ.get('PATH', os.defpath), '/usr/sbin', '/sbin')
)
#: The Debian package of each program that is run by its name.
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
#: The default timeout in seconds. A program that reads or writes headers and
#: tables takes longer only if its storage hangs.
DEFAULT_TIMEOUT: Final = 60


def find(name: str) -> str:
    """Return the path of a program; raise OSError with its package.

    A ``name`` that is a path is returned as it is; ``run`` reports its errors.
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
    """Run a program to its end and return its output.

    ``env`` is its whole environment, by default that of this process with the
    locale C. Raises OSError with the last line of its error output if it
    fails, if it cannot be run, or if it has not ended within ``timeout``
    seconds; it is killed then, and also when its caller is cancelled.
    """
    if env is None:
        env = os.environ | {'PATH': PATH, 'LC_ALL': 'C'}
    started = _Started()
    try:
        with cancellation.on_cancel(started.kill):
            output, _ = processutils.execute(
                find(name),
                *args,
                process_input=stdin,
                cwd=cwd,
                env_variables=dict(env),
                prlimit=limits,
                timeout=timeout,
                on_execute=started.set,
                on_completion=_kill,
                binary=True,
            )
    except processutils.ProcessExecutionError as error:
        # processutils returns text here, also with binary=True.
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


@dataclasses.dataclass(frozen=True)
class Ended:
    """The end of a program that may fail: its exit code and its output.

    ``exit_code`` is None when the program was killed after its timeout.
    """

    exit_code: int | None
    output: str


def run_to_exit(
    name: str, *args: str, stdin: str = '', timeout: float
) -> Ended:
    """Run a program of an operator, and return however it ends.

    ``output`` is the end of what it printed, on both streams, at most 4 KiB.
    After ``timeout`` seconds the program and its children are killed. Raises
    OSError when it cannot be run.
    """
    with (
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as given,
    ):
        # Files, not pipes: a child that survives does not delay the end.
        given.write(stdin.encode())
        given.seek(0)
        process = subprocess.Popen(  # noqa: S603
            [find(name), *args],
            stdin=given,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {'PATH': PATH, 'LC_ALL': 'C'},
            start_new_session=True,
        )
        exit_code: int | None = None
        try:
            with cancellation.on_cancel(lambda: _kill_group(process)):
                exit_code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            _kill_group(process)
            process.wait()
        size = output.seek(0, os.SEEK_END)
        output.seek(max(0, size - 4096))
        text = output.read().decode(errors='replace')
    return Ended(exit_code, ' '.join(text.split()))


def _kill_group(process: 'subprocess.Popen[bytes]') -> None:
    """Kill a program and its children; it is the leader of their group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class _Started:
    """A program that is killed once it has started, or is not killed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._unwanted = False

    def set(self, process: 'subprocess.Popen[bytes]') -> None:
        """Note the program."""
        self._process = process
        if self._unwanted:
            process.kill()

    def kill(self) -> None:
        """Kill the program, now or when it starts."""
        self._unwanted = True
        if self._process is not None:
            self._process.kill()


def _kill(process: 'subprocess.Popen[bytes]') -> None:
    """End a program after its timeout."""
    if process.poll() is None:
        process.kill()
        process.communicate()
