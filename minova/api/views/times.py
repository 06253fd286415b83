# SPDX-License-Identifier: Apache-2.0
"""Times in the formats of the Compute API; all of them are UTC.

The functions cut ``isoformat``, which is ten times as fast as ``strftime``: a
list of a thousand servers contains three thousand times.
"""

import datetime


def isotime(time: datetime.datetime | None) -> str | None:
    """Return ``2026-01-31T12:00:00Z``."""
    return time.isoformat()[:19] + 'Z' if time else None


def strtime(time: datetime.datetime | None) -> str | None:
    """Return ``2026-01-31T12:00:00.000000``."""
    return time.isoformat(timespec='microseconds')[:26] if time else None
