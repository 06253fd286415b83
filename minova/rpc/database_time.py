# SPDX-License-Identifier: Apache-2.0
"""The time of the database, for a process that reads it now and then."""

from minova import clock


class DatabaseTime:
    """The newest reading, continued by the clock of this machine."""

    def __init__(self) -> None:
        """Begin with the time of this machine."""
        self.set(clock.now().timestamp())

    def set(self, moment: float, read_at: float | None = None) -> None:
        """Take a reading, in seconds since 1970.

        ``read_at`` is the monotonic time of the reading, by default now.
        """
        at = clock.monotonic() if read_at is None else read_at
        # One assignment: other threads see both or none.
        self._reading = (moment, at)

    def now(self) -> float:
        """Return the time of the database, in seconds since 1970."""
        moment, read_at = self._reading
        return moment + clock.monotonic() - read_at

    @property
    def age(self) -> float:
        """The seconds since the newest reading."""
        return clock.monotonic() - self._reading[1]
