# SPDX-License-Identifier: Apache-2.0
"""The lock by which one process at a time runs an embedded host."""

import fcntl
import os


class HostLock:
    """The lock of a host; the kernel releases it when the process ends."""

    def __init__(self, number: int) -> None:
        self._number: int | None = number

    def release(self) -> None:
        """Release the host."""
        number, self._number = self._number, None
        if number is not None:
            os.close(number)


def try_lock(number: int, kind: int) -> bool:
    """Lock an open file without waiting; return whether that worked."""
    try:
        fcntl.flock(number, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
