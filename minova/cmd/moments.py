# SPDX-License-Identifier: Apache-2.0
"""Times as an operator writes them on a command line."""

import argparse
import datetime


def moment(text: str) -> datetime.datetime:
    """Read an ISO 8601 date or time; UTC unless it says otherwise."""
    try:
        found = datetime.datetime.fromisoformat(text)
        if found.tzinfo is None:
            return found.replace(tzinfo=datetime.UTC)
        return found.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f'{text!r} is no date or time such as 2026-01-31 or '
            '2026-01-31T12:00:00'
        ) from None
