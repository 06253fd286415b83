# SPDX-License-Identifier: Apache-2.0
"""minova-manage archive: what is over makes room."""

import argparse
import collections
import datetime
import re

from minova import clock
from minova import exception
from minova.cmd.argument_types import bounded_int
from minova.cmd.argument_types import utc_time
from minova.cmd.commands import Commands
from minova.cmd.database import open_database
from minova.notifications import retention

#: What people call the tables' rows, in the order in which they are told.
_NAMES = {
    'outbox': 'notifications',
    'operations': 'operations',
    'steps': 'steps',
    'instances': 'deleted servers',
    'faults': 'faults of theirs',
    'migrations': 'migrations of theirs',
}


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_command('archive', archive)
    age = parser.add_mutually_exclusive_group(required=True)
    age.add_argument(
        '--before',
        type=utc_time,
        metavar='DATE',
        help='what was over before it (2026-01-31, or a time; UTC)',
    )
    age.add_argument(
        '--older-than',
        type=_parse_days,
        metavar='DAYS',
        help='what has been over for so many days',
    )
    parser.add_argument(
        '--batch',
        type=bounded_int(1, 10000),
        default=500,
        metavar='N',
        help='how many things go in one transaction (%(default)s)',
    )
    parser.add_argument(
        '--purge',
        action='store_true',
        help='delete for good what is so old in the archive; nothing is '
        'archived',
    )
    parser.add_argument(
        '--dry-run', action='store_true', help='only say what would go'
    )


def _parse_days(text: str) -> datetime.timedelta:
    # More than a million days are before the first of the calendar.
    if not re.fullmatch('[0-9]{1,6}', text):
        raise argparse.ArgumentTypeError(f'{text!r} is no number of days')
    return datetime.timedelta(days=int(text))


def _cutoff(arguments: argparse.Namespace) -> datetime.datetime:
    if arguments.before is not None:
        found: datetime.datetime = arguments.before
        return found
    try:
        found = clock.now() - arguments.older_than
    except OverflowError:
        found = datetime.datetime.min.replace(tzinfo=datetime.UTC)
    return found


def archive(arguments: argparse.Namespace) -> int:
    """Put what has long been over into the archive, or out of it."""
    database = open_database()
    before = _cutoff(arguments)
    total: collections.Counter[str] = collections.Counter()
    if arguments.dry_run:
        for counts in retention.preview(database, before, arguments.purge):
            total.update(counts)
        _print_counts('Would go', before, arguments.purge, total)
        return 0
    work = retention.run(database, before, arguments.batch, arguments.purge)
    try:
        for counts in work:
            total.update(counts)
    except (KeyboardInterrupt, exception.MinovaException):
        _print_counts(
            'Before it was interrupted, went', before, arguments.purge, total
        )
        raise
    _print_counts('Went', before, arguments.purge, total)
    return 0


def _print_counts(
    what: str,
    before: datetime.datetime,
    purge: bool,
    total: collections.Counter[str],
) -> None:
    way = 'out of the archive, for good' if purge else 'into the archive'
    print(f'{what} {way}, over before {before:%Y-%m-%d %H:%M:%S} UTC:')
    for table, name in _NAMES.items():
        print(f'{total[table]:>10} {name}')
