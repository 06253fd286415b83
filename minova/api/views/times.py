# SPDX-License-Identifier: Apache-2.0
"""The forms in which the Compute API writes a time; all of them are UTC.

Cut from ``isoformat``, which is ten times as fast as ``strftime``: a list of
a thousand servers has three thousand times in it.
"""

import datetime


def stamp(moment: datetime.datetime | None) -> str | None:
    """Return ``2026-01-31T12:00:00Z``."""
    return moment.isoformat()[:19] + 'Z' if moment else None


def plain(moment: datetime.datetime | None) -> str | None:
    """Return ``2026-01-31T12:00:00.000000``."""
    return moment.isoformat(timespec='microseconds')[:26] if moment else None
