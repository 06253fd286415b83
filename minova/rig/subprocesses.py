# SPDX-License-Identifier: Apache-2.0
"""The programs that a rig is made with.

Without one of them, or when one fails, there is no rig: ConfigInvalid says
what this machine lacks.
"""

from collections.abc import Mapping
from typing import Final

from minova import exception
from minova import subprocesses

#: Seconds for the longest of them, the installation of a Debian; a mirror
#: that does not answer is given up by apt long before.
PATIENCE: Final = 1800


def find(name: str) -> str:
    """Return where a program is; ConfigInvalid names its package."""
    try:
        return subprocesses.find(name)
    except OSError as error:
        raise exception.ConfigInvalid(reason=str(error)) from error


def run(
    name: str,
    *args: str,
    stdin: bytes | None = None,
    cwd: str | None = None,
    environment: Mapping[str, str] | None = None,
    patience: int = PATIENCE,
) -> bytes:
    """Run a program to its end and return what it says.

    ConfigInvalid with its last words when it fails or has not ended within
    ``patience`` seconds. See ``minova.subprocesses``.
    """
    try:
        return subprocesses.run(
            name,
            *args,
            stdin=stdin,
            cwd=cwd,
            env=environment,
            timeout=patience,
        )
    except OSError as error:
        raise exception.ConfigInvalid(reason=str(error)) from error
