# SPDX-License-Identifier: Apache-2.0
"""The time of day that services on different machines have in common.

What one service writes (a deadline, when a step may be tried again, when it
was owed) another one compares with its own time of day, on a machine whose
clock may be hours off. So a process with a database counts the time of day by
the database's clock: how far its own is off is measured now and then.

SQLite has no clock but ours.
"""

import datetime

from oslo_log import log as logging
import sqlalchemy as sa

from minova import clock
from minova.db import types

LOG = logging.getLogger(__name__)

#: Seconds between two measurements.
_INTERVAL = 60.0
#: Seconds that do not matter: as machines differ that keep time.
_TOLERANCE = 0.1
#: Seconds that an administrator should know of.
_WARN_SECONDS = 5.0

_NOW = sa.select(types.now())


class ClockOffset:
    """Measures how far this machine's clock is off, and makes up for it."""

    def __init__(self, dialect: str) -> None:
        self._is_enabled = dialect != 'sqlite'
        self._next_measurement = float('-inf')

    def measure(self, connection: sa.Connection) -> None:
        """Measure, if it is time to; ``clock.now`` is then the database's."""
        began = clock.monotonic()
        if not self._is_enabled or began < self._next_measurement:
            return
        database_now = connection.execute(_NOW).scalar_one()
        round_trip = clock.monotonic() - began
        if round_trip > _TOLERANCE:
            # When in this time it was read is not known; the next will tell.
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
                "This machine's clock is %.1f s %s the database's, by which "
                'times are counted here. See that both are set right.',
                abs(total),
                'behind' if total > 0 else 'ahead of',
            )
