# SPDX-License-Identifier: Apache-2.0
"""The programs that a rig needs.

A missing program, or one that fails, raises ConfigInvalid with what this
machine lacks.
"""

from collections.abc import Mapping
from typing import Final

from minova import exception
from minova import subprocesses

#: Seconds for the slowest program, the installation of a Debian. apt gives up
#: on an unresponsive mirror much earlier.
PATIENCE: Final = 1800


def find(name: str) -> str:
    """Return the path of a program; ConfigInvalid names its package."""
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
    """Run a program and return its output.

    ConfigInvalid with the end of its output when it fails or runs longer
    than ``timeout`` seconds. See ``minova.subprocesses``.
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
