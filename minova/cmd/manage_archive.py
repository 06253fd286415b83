# SPDX-License-Identifier: Apache-2.0
"""minova-manage archive: archive finished rows, purge old archived ones."""

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

#: The names of the rows of each table, in the order of the output.
_NAMES = {
    'outbox': 'notifications',
    'operations': 'operations',
    'steps': 'steps',
    'instances': 'deleted servers',
    'faults': 'faults of deleted servers',
    'migrations': 'migrations of deleted servers',
    'usage_audits': 'audits of usage',
}


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_command('archive', archive, timeout=86400)
    age = parser.add_mutually_exclusive_group(required=True)
    age.add_argument(
        '--before',
        type=utc_time,
        metavar='DATE',
        help='rows finished before this date or time (2026-01-31; UTC)',
    )
    age.add_argument(
        '--older-than',
        type=_parse_days,
        metavar='DAYS',
        help='rows finished more than DAYS days ago',
    )
    parser.add_argument(
        '--batch',
        type=bounded_int(1, 10000),
        default=500,
        metavar='N',
        help='rows per transaction, 1 to 10000 (%(default)s)',
    )
    parser.add_argument(
        '--purge',
        action='store_true',
        help='delete such rows from the archive for good, instead of '
        'archiving rows',
    )
    parser.add_argument(
        '--dry-run', action='store_true', help='only count the rows'
    )


def _parse_days(text: str) -> datetime.timedelta:
    # The calendar begins less than a million days ago.
    if not re.fullmatch('[0-9]{1,6}', text):
        raise argparse.ArgumentTypeError(
            f'{text!r} is not a number of days from 0 to 999999'
        )
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
    """Archive finished rows, or purge old archived ones."""
    database = open_database()
    before = _cutoff(arguments)
    total: collections.Counter[str] = collections.Counter()
    if arguments.dry_run:
        for counts in retention.preview(database, before, arguments.purge):
            total.update(counts)
        _print_counts('Would be', before, arguments.purge, total)
        return 0
    work = retention.run(database, before, arguments.batch, arguments.purge)
    try:
        for counts in work:
            total.update(counts)
    except (KeyboardInterrupt, exception.MinovaException):
        _print_counts(
            'Before the interruption', before, arguments.purge, total
        )
        raise
    _print_counts('Were', before, arguments.purge, total)
    return 0


def _print_counts(
    intro: str,
    before: datetime.datetime,
    purge: bool,
    total: collections.Counter[str],
) -> None:
    action = 'purged' if purge else 'archived'
    print(f'{intro} {action}, finished before {before:%Y-%m-%d %H:%M:%S} UTC:')
    for table, name in _NAMES.items():
        print(f'{total[table]:>10} {name}')
