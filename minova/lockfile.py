# SPDX-License-Identifier: Apache-2.0
"""Lock files: what only one process of a machine may have.

The kernel gives a lock back when its process ends, however it ends, and not
while the process is merely stopped.
"""

import fcntl
import os
from typing import IO


def acquire(path: str, shared: bool = False) -> IO[str] | None:
    """Have a lock until the file is closed; None when another has it.

    A ``shared`` one may be had by several at a time. Else the file says the
    number of the process. Raises OSError when it cannot be written.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    file = open(path, 'a+', encoding='ascii')  # noqa: SIM115  held
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    if shared:
        return file
    file.truncate(0)
    file.write(f'{os.getpid()}\n')
    file.flush()
    return file


def holder(path: str) -> str:
    """Return the number of the process that has a lock, as far as is known."""
    with open(path, encoding='ascii') as file:
        return file.read().strip() or 'unknown'
