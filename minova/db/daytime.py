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
_EVERY = 60.0
#: Seconds that do not matter: as machines differ that keep time.
_TOLERANCE = 0.1
#: Seconds that an administrator should know of.
_WORTH_TELLING = 5.0

_NOW = sa.select(types.now())


class Daytime:
    """Measures how far this machine's clock is off, and makes up for it."""

    def __init__(self, dialect: str) -> None:
        self._measures = dialect != 'sqlite'
        self._next = float('-inf')

    def follow(self, connection: sa.Connection) -> None:
        """Measure, if it is time to; ``clock.now`` is then the database's."""
        began = clock.monotonic()
        if not self._measures or began < self._next:
            return
        there = connection.execute(_NOW).scalar_one()
        took = clock.monotonic() - began
        if took > _TOLERANCE:
            # When in this time it was read is not known; the next will tell.
            return
        self._next = began + _EVERY
        here = clock.now() - datetime.timedelta(seconds=took / 2)
        off = there - here
        if abs(off.total_seconds()) <= _TOLERANCE:
            return
        clock.set_ahead(clock.ahead() + off)
        total = clock.ahead().total_seconds()
        if abs(off.total_seconds()) > _WORTH_TELLING:
            LOG.warning(
                "This machine's clock is %.1f s %s the database's, by which "
                'times are counted here. See that both are set right.',
                abs(total),
                'behind' if total > 0 else 'ahead of',
            )
