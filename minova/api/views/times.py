# SPDX-License-Identifier: Apache-2.0
"""The forms in which the Compute API writes a time; all of them are UTC.

Cut from ``isoformat``, which is ten times as fast as ``strftime``: a list of
a thousand servers has three thousand times in it.
"""

import datetime


def isotime(time: datetime.datetime | None) -> str | None:
    """Return ``2026-01-31T12:00:00Z``."""
    return time.isoformat()[:19] + 'Z' if time else None


def strtime(time: datetime.datetime | None) -> str | None:
    """Return ``2026-01-31T12:00:00.000000``."""
    return time.isoformat(timespec='microseconds')[:26] if time else None
