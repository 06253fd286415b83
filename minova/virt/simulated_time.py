# SPDX-License-Identifier: Apache-2.0
"""The time of simulated migrations, as records store it."""

from minova import clock


def now_seconds() -> float:
    """Return the clock's time of day in seconds."""
    return clock.now().timestamp()


def elapsed_share(began_at: float, ends_at: float) -> float:
    """Return which share of a span has passed, from 0.0 to 1.0."""
    if ends_at <= began_at:
        return 1.0
    share = (now_seconds() - began_at) / (ends_at - began_at)
    return min(1.0, max(0.0, share))
