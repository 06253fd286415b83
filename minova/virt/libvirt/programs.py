# SPDX-License-Identifier: Apache-2.0
"""The programs that a host runs beside libvirt: qemu-img, mkfs and others."""

import os
import subprocess

from oslo_concurrency import processutils

#: Seconds for which a program is waited for. They read and write headers
#: and tables; what takes longer hangs on its storage.
PATIENCE = 60


def run(
    name: str,
    *words: str,
    limits: processutils.ProcessLimits | None = None,
    patience: int = PATIENCE,
) -> str:
    """Run a program to its end and return what it says.

    OSError with its own words if it fails, cannot be run, or has not ended
    within ``patience`` seconds, when it is killed.
    """
    try:
        said, _ = processutils.execute(
            name,
            *words,
            prlimit=limits,
            timeout=patience,
            on_completion=_kill,
            env_variables=_environment(),
        )
    except processutils.ProcessExecutionError as error:
        lines = str(error.stderr or '').strip().splitlines()
        last = lines[-1] if lines else f'exit code {error.exit_code}'
        short = os.path.basename(name)
        raise OSError(f'{short}: {last.removeprefix(f"{short}: ")}') from error
    except subprocess.TimeoutExpired as error:
        raise OSError(
            f'{" ".join((name, *words))} has not ended within {patience:g} s'
        ) from error
    return str(said)


def _kill(process: 'subprocess.Popen[bytes]') -> None:
    """End a program that was not waited for to its end."""
    if process.poll() is None:
        process.kill()
        process.communicate()


def _environment() -> dict[str, str]:
    # Programs of the system's administration are not on everybody's path.
    path = os.environ.get('PATH', '')
    return dict(os.environ) | {
        'PATH': f'{path}:/usr/sbin:/sbin',
        'LC_ALL': 'C',
    }
