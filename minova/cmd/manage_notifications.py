# SPDX-License-Identifier: Apache-2.0
"""minova-manage notifications: what was told, told again, compared."""

import argparse
from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import functools
import json
import re
import sys
from typing import BinaryIO
import uuid

from minova import exception
from minova.cmd.argument_types import utc_time
from minova.cmd.commands import CommandFunction
from minova.cmd.commands import Commands
from minova.cmd.database import open_database
from minova.db.queries import ledger as ledger_queries
from minova.db.queries import outbox
from minova.db.queries.ledger import Marker
from minova.db.queries.ledger import Scope
from minova.notifications import envelope
from minova.notifications import ledger
from minova.notifications import verify

_PROG = 'minova-manage notifications'


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    group = commands.add_group('notifications', 'what was told')
    shown = _add_command(group, 'list', show)
    _add_scope(shown)
    shown.add_argument(
        '--unpublished', action='store_true', help='only what still waits'
    )
    shown.add_argument(
        '--json',
        action='store_true',
        help='one message a line, as consumers get it',
    )
    again = _add_command(group, 'replay', replay)
    _add_scope(again)
    again.add_argument('--all', action='store_true', help='all of it')
    again.add_argument(
        '--to-queue',
        type=_parse_queue,
        metavar='NAME',
        help='only to this queue, which is made if there is none',
    )
    again.add_argument(
        '--after',
        type=_parse_marker,
        metavar='UUID:NUMBER',
        help='go on behind this one, as an interrupted replay says',
    )
    again.add_argument(
        '--dry-run', action='store_true', help='only say how many'
    )
    compared = _add_command(group, 'verify', verify_log)
    compared.add_argument(
        'file', metavar='FILE', help='one notification a line; - reads stdin'
    )
    _add_scope(compared)
    compared.add_argument(
        '--json', action='store_true', help='the whole result, for machines'
    )


def _add_command(
    group: Commands, name: str, run: CommandFunction
) -> argparse.ArgumentParser:
    parser = group.add_command(name, run)
    parser.set_defaults(unpublished=False)
    return parser


def _add_scope(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        '--instance',
        type=_parse_uuid,
        metavar='UUID',
        help='only of this server',
    )
    command.add_argument(
        '--since',
        type=utc_time,
        metavar='TIME',
        help='only what was told then (2026-01-31T12:00, UTC) or later',
    )
    command.add_argument(
        '--until',
        type=utc_time,
        metavar='TIME',
        help='only what was told before',
    )


def _parse_uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is no UUID') from None


def _parse_queue(text: str) -> str:
    # What AMQP can say: a short string; the broker's own begin with amq.
    if not 0 < len(text.encode()) < 256 or text.startswith('amq.'):
        raise argparse.ArgumentTypeError(f'{text!r} is no name for a queue')
    return text


def _parse_marker(text: str) -> Marker:
    instance, _, number = text.partition(':')
    if not re.fullmatch('[0-9]{1,9}', number):
        raise argparse.ArgumentTypeError(f'{text!r} is not UUID:NUMBER')
    return _parse_uuid(instance), int(number)


def _scope(arguments: argparse.Namespace) -> Scope:
    return Scope(
        instance=arguments.instance,
        since=arguments.since,
        until=arguments.until,
        unpublished=arguments.unpublished,
    )


# -- list --------------------------------------------------------------------


def show(arguments: argparse.Namespace) -> int:
    """List what was told."""
    database = open_database()
    scope = _scope(arguments)
    order: tuple[str, ...] = ledger_queries.AS_WRITTEN
    if scope.instance is not None:
        order = ledger_queries.BY_INSTANCE
        _warn_purged(ledger.require_known(database, scope.instance))
    for entry in ledger.read_entries(database, scope, order):
        if arguments.json:
            print(json.dumps(envelope.to_oslo_message(entry)))
        else:
            print(_line(entry, with_instance=scope.instance is None))
    return 0


def _warn_purged(retained: ledger_queries.RetainedRange) -> None:
    first = retained.first or (retained.last or 0) + 1
    if first > 1:
        print(
            f'Numbers 1 to {first - 1} were purged from the archive.',
            file=sys.stderr,
        )


def _line(entry: ledger_queries.Entry, with_instance: bool) -> str:
    state = 'published' if entry.published_at else 'waiting'
    if entry.archived:
        state = 'archived'
    words = [
        f'{entry.seq:>5}',
        f'{entry.created_at:%Y-%m-%d %H:%M:%S.%f}',
        f'{entry.event_type:<45}',
        f'{entry.publisher_id:<20}',
        f'{state:<9}',
        entry.message_id,
    ]
    if with_instance:
        words.insert(0, entry.instance_uuid)
    return ' '.join(words)


# -- replay ------------------------------------------------------------------


def replay(arguments: argparse.Namespace) -> int:
    """Publish again what was published, with the same message_ids."""
    scope = _scope(arguments)
    if not (scope.instance or scope.since or arguments.all):
        print(
            f'{_PROG} replay: say which: --instance, --since or --all',
            file=sys.stderr,
        )
        return 2
    database = open_database()
    if scope.instance is not None:
        ledger.require_known(database, scope.instance)
    if arguments.dry_run:
        counts = database.read(
            lambda connection: ledger_queries.count(
                connection, scope, arguments.after
            )
        )
        _print_count('would be replayed', counts.total - counts.unpublished)
        _print_unpublished(counts.unpublished)
        return 0
    progress = ledger.ReplayProgress()
    try:
        with _open_sender(arguments.to_queue) as send:
            ledger.replay(database, scope, send, progress, arguments.after)
    except (KeyboardInterrupt, exception.Unavailable):
        _print_count(
            'were replayed before it was interrupted', progress.replayed
        )
        if progress.last is not None:
            instance, number = progress.last.instance_uuid, progress.last.seq
            print(f'To go on, add: --after {instance}:{number}')
        raise
    _print_count('were replayed', progress.replayed)
    _print_unpublished(progress.unpublished)
    return 0


def _print_count(what: str, count: int) -> None:
    print(f'{count} notifications {what}.')


def _print_unpublished(count: int) -> None:
    if count:
        print(
            f'{count} are not published yet; the relay, which keeps their '
            'order, will.'
        )


@contextlib.contextmanager
def _open_sender(
    queue: str | None,
) -> Iterator[Callable[[outbox.Notice], None]]:
    """Return what sends: to everybody, or to one queue."""
    from minova.rpc.oslo_bus import OsloBus

    bus = OsloBus()
    with contextlib.closing(bus):
        if bus.is_local:
            raise exception.ConfigInvalid(
                reason='nobody is reached from here by a transport_url that '
                'stays within one process'
            )
        if queue is None:
            yield functools.partial(envelope.publish, bus)
            return
        with bus.named_queue(queue) as found:
            yield lambda notice: found.send(
                notice.context, envelope.body(notice)
            )


# -- verify ------------------------------------------------------------------


def verify_log(arguments: argparse.Namespace) -> int:
    """Compare a consumer's log with what was told."""
    database = open_database()
    scope = _scope(arguments)
    if scope.instance is not None:
        ledger.require_known(database, scope.instance)
    entries = ledger.read_entries(database, scope)
    try:
        with _open_log(arguments.file) as lines:
            report = verify.verify(lines, entries, scope)
    except (OSError, verify.InvalidLogLine) as error:
        print(f'{_PROG} verify: {arguments.file}: {error}', file=sys.stderr)
        return 2
    if arguments.json:
        print(json.dumps(verify.as_json(report)))
    else:
        for line in verify.render(report):
            print(line)
    return 0 if report.is_clean else 1


def _open_log(name: str) -> contextlib.AbstractContextManager[BinaryIO]:
    if name == '-':
        return contextlib.nullcontext(sys.stdin.buffer)
    return open(name, 'rb')
