# SPDX-License-Identifier: Apache-2.0
"""Types of command arguments: times, numbers; the default data directory."""

import argparse
from collections.abc import Callable
import datetime
import os


def default_data_directory(*names: str) -> str:
    """Return the XDG data directory of Minova, or a directory inside it."""
    home = os.path.expanduser('~/.local/share')
    data = os.environ.get('XDG_DATA_HOME') or home
    return os.path.join(data, 'minova', *names)


def bounded_int(minimum: int, maximum: int) -> Callable[[str], int]:
    """Return a parser of integers from ``minimum`` to ``maximum``."""

    def read(text: str) -> int:
        is_number = text.isascii() and text.isdecimal() and len(text) < 20
        if is_number and minimum <= int(text) <= maximum:
            return int(text)
        raise argparse.ArgumentTypeError(
            f'{text!r} is not a number from {minimum} to {maximum}'
        )

    return read


def utc_time(text: str) -> datetime.datetime:
    """Parse an ISO 8601 date or time; without an offset it is UTC."""
    try:
        found = datetime.datetime.fromisoformat(text)
        if found.tzinfo is None:
            return found.replace(tzinfo=datetime.UTC)
        return found.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f'{text!r} is not a date or time such as 2026-01-31 or '
            '2026-01-31T12:00:00'
        ) from None
