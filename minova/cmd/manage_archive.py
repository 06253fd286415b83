# SPDX-License-Identifier: Apache-2.0
"""minova-manage archive: what is over makes room."""

import argparse
import collections
import datetime
import re

from minova import clock
from minova import exception
from minova.cmd.commands import Commands
from minova.cmd.database import current
from minova.cmd.words import moment
from minova.cmd.words import number
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


def add(commands: Commands) -> None:
    """Add the command."""
    made = commands.command('archive', archive)
    age = made.add_mutually_exclusive_group(required=True)
    age.add_argument(
        '--before',
        type=moment,
        metavar='DATE',
        help='what was over before it (2026-01-31, or a time; UTC)',
    )
    age.add_argument(
        '--older-than',
        type=_days,
        metavar='DAYS',
        help='what has been over for so many days',
    )
    made.add_argument(
        '--batch',
        type=number(1, 10000),
        default=500,
        metavar='N',
        help='how many things go in one transaction (%(default)s)',
    )
    made.add_argument(
        '--purge',
        action='store_true',
        help='delete for good what is so old in the archive; nothing is '
        'archived',
    )
    made.add_argument(
        '--dry-run', action='store_true', help='only say what would go'
    )


def _days(text: str) -> datetime.timedelta:
    # More than a million days are before the first of the calendar.
    if not re.fullmatch('[0-9]{1,6}', text):
        raise argparse.ArgumentTypeError(f'{text!r} is no number of days')
    return datetime.timedelta(days=int(text))


def _since(arguments: argparse.Namespace) -> datetime.datetime:
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
    database = current()
    before = _since(arguments)
    total: collections.Counter[str] = collections.Counter()
    if arguments.dry_run:
        for counts in retention.preview(database, before, arguments.purge):
            total.update(counts)
        _tell('Would go', before, arguments.purge, total)
        return 0
    work = retention.run(database, before, arguments.batch, arguments.purge)
    try:
        for counts in work:
            total.update(counts)
    except (KeyboardInterrupt, exception.MinovaException):
        _tell(
            'Before it was interrupted, went', before, arguments.purge, total
        )
        raise
    _tell('Went', before, arguments.purge, total)
    return 0


def _tell(
    what: str,
    before: datetime.datetime,
    purge: bool,
    total: collections.Counter[str],
) -> None:
    way = 'out of the archive, for good' if purge else 'into the archive'
    print(f'{what} {way}, over before {before:%Y-%m-%d %H:%M:%S} UTC:')
    for table, name in _NAMES.items():
        print(f'{total[table]:>10} {name}')
