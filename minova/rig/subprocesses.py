# SPDX-License-Identifier: Apache-2.0
"""The programs that a rig is made with.

Without one of them, or when one fails, there is no rig: ConfigInvalid says
what this machine lacks.
"""

from collections.abc import Mapping

from minova import exception
from minova import subprocesses


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
) -> bytes:
    """Run a program to its end, however long it takes; return what it says.

    ConfigInvalid with its last words when it fails. See ``minova.subprocesses``.
    """
    try:
        return subprocesses.run(
            name,
            *args,
            stdin=stdin,
            cwd=cwd,
            env=environment,
            timeout=None,
        )
    except OSError as error:
        raise exception.ConfigInvalid(reason=str(error)) from error
