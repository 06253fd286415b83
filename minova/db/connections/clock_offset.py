# SPDX-License-Identifier: Apache-2.0
"""The offset between this machine's clock and the database's.

One service writes a time (a deadline, the time of the next attempt) and
another service compares it with its own clock, which may be hours off. A
process with a database therefore counts time by the database's clock: it
measures the offset of its own clock every minute.

SQLite reads the clock of this process; nothing is measured there.
"""

import datetime

from oslo_log import log as logging
import sqlalchemy as sa

from minova import clock
from minova.db import types

LOG = logging.getLogger(__name__)

#: Seconds between two measurements.
_INTERVAL = 60.0
#: Seconds of difference that machines with NTP have; ignored.
_TOLERANCE = 0.1
#: Seconds of difference from which a warning is logged.
_WARN_SECONDS = 5.0

_NOW = sa.select(types.now())


class ClockOffset:
    """Measure the offset of this machine's clock and correct for it."""

    def __init__(self, dialect: str) -> None:
        self._is_enabled = dialect != 'sqlite'
        self._next_measurement = float('-inf')

    def measure(self, connection: sa.Connection) -> None:
        """Measure the offset if it is due, and set it in ``clock``."""
        began = clock.monotonic()
        if not self._is_enabled or began < self._next_measurement:
            return
        database_now = connection.execute(_NOW).scalar_one()
        round_trip = clock.monotonic() - began
        if round_trip > _TOLERANCE:
            # Too slow to tell when the database read its clock.
            return
        self._next_measurement = began + _INTERVAL
        local_now = clock.now() - datetime.timedelta(seconds=round_trip / 2)
        change = database_now - local_now
        if abs(change.total_seconds()) <= _TOLERANCE:
            return
        clock.set_offset(clock.offset() + change)
        total = clock.offset().total_seconds()
        if abs(change.total_seconds()) > _WARN_SECONDS:
            LOG.warning(
                "This machine's clock is %.1f s %s the database's; the "
                "service uses the database's time. Check NTP on both.",
                abs(total),
                'behind' if total > 0 else 'ahead of',
            )
