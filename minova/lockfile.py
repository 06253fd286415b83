# SPDX-License-Identifier: Apache-2.0
"""Lock files between processes of one machine.

The kernel releases a lock when its process ends for any reason, but not while
the process is stopped.
"""

import fcntl
import os
from typing import IO


def acquire(path: str, shared: bool = False) -> IO[str] | None:
    """Lock a file until it is closed; None if another process has the lock.

    Several processes may have a ``shared`` lock. The file of an exclusive
    lock has the id of its process. Raises OSError if it cannot be written.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    file = open(path, 'a+', encoding='ascii')  # noqa: SIM115  stays open
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
    """Return the id of the process with the lock, or 'unknown'."""
    with open(path, encoding='ascii') as file:
        return file.read().strip() or 'unknown'
