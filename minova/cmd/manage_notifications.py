# SPDX-License-Identifier: Apache-2.0
"""minova-manage notifications: list, replay and verify notifications."""

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
from minova.db.queries import usage_audits
from minova.db.queries.ledger import Marker
from minova.db.queries.ledger import Scope
from minova.notifications import envelope
from minova.notifications import ledger
from minova.notifications import verify

_PROG = 'minova-manage notifications'


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    group = commands.add_group('notifications', 'emitted notifications')
    parser = _add_command(group, 'list', show)
    _add_scope(parser)
    parser.add_argument(
        '--unpublished', action='store_true', help='only unpublished ones'
    )
    parser.add_argument(
        '--json',
        action='store_true',
        help='print one message per line, as consumers receive it',
    )
    parser = _add_command(group, 'replay', replay)
    _add_scope(parser)
    parser.add_argument(
        '--all', action='store_true', help='all published notifications'
    )
    parser.add_argument(
        '--to-queue',
        type=_parse_queue,
        metavar='NAME',
        help='publish to this queue only; it is created if missing',
    )
    parser.add_argument(
        '--after',
        type=_parse_marker,
        metavar='UUID:NUMBER',
        help='continue after this one; an interrupted replay prints it',
    )
    parser.add_argument(
        '--dry-run', action='store_true', help='only count them'
    )
    parser = _add_command(group, 'verify', verify_log)
    parser.add_argument(
        'file',
        metavar='FILE',
        help='the log, one notification per line; -: stdin',
    )
    _add_scope(parser)
    parser.add_argument(
        '--json', action='store_true', help='print one JSON object'
    )


def _add_command(
    group: Commands, name: str, run: CommandFunction
) -> argparse.ArgumentParser:
    parser = group.add_command(name, run, timeout=86400)
    parser.set_defaults(unpublished=False)
    return parser


def _add_scope(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        '--instance',
        type=_parse_uuid,
        metavar='UUID',
        help='only of this instance',
    )
    command.add_argument(
        '--since',
        type=utc_time,
        metavar='TIME',
        help='only those emitted at this time (2026-01-31T12:00, UTC) or '
        'later',
    )
    command.add_argument(
        '--until',
        type=utc_time,
        metavar='TIME',
        help='only those emitted before this time',
    )


def _parse_uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is not a UUID') from None


def _parse_queue(text: str) -> str:
    # A short string of AMQP; names with amq. are reserved for the broker.
    if not 0 < len(text.encode()) < 256 or text.startswith('amq.'):
        raise argparse.ArgumentTypeError(
            f'{text!r} is not a queue name: 1 to 255 bytes, not with amq.'
        )
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
    """List emitted notifications."""
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
            f'The notifications 1 to {first - 1} were purged from the '
            'archive.',
            file=sys.stderr,
        )


def _line(entry: ledger_queries.Entry, with_instance: bool) -> str:
    state = 'published' if entry.published_at else 'unpublished'
    if entry.archived:
        state = 'archived'
    fields = [
        f'{entry.seq:>5}',
        f'{entry.created_at:%Y-%m-%d %H:%M:%S.%f}',
        f'{entry.event_type:<45}',
        f'{entry.publisher_id:<20}',
        f'{state:<11}',
        entry.message_id,
    ]
    if with_instance:
        fields.insert(0, entry.instance_uuid)
    return ' '.join(fields)


# -- replay ------------------------------------------------------------------


def replay(arguments: argparse.Namespace) -> int:
    """Publish published notifications again, with the same message_id."""
    scope = _scope(arguments)
    if not (scope.instance or scope.since or arguments.all):
        print(
            f'{_PROG} replay: --instance, --since or --all is required',
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
            'were replayed before the interruption', progress.replayed
        )
        if progress.last is not None:
            instance, number = progress.last.instance_uuid, progress.last.seq
            print(f'To continue, add: --after {instance}:{number}')
        raise
    _print_count('were replayed', progress.replayed)
    _print_unpublished(progress.unpublished)
    return 0


def _print_count(what: str, count: int) -> None:
    print(f'{count} notifications {what}.')


def _print_unpublished(count: int) -> None:
    if count:
        print(
            f'{count} are unpublished and not replayed; the relay publishes '
            'them in order.'
        )


@contextlib.contextmanager
def _open_sender(
    queue: str | None,
) -> Iterator[Callable[[outbox.Notice], None]]:
    """Yield a function that publishes: to the topic, or to one queue."""
    from minova.rpc.oslo_bus import OsloBus

    bus = OsloBus(service='manage')
    with contextlib.closing(bus):
        if bus.is_local:
            raise exception.ConfigInvalid(
                reason='transport_url is limited to one process; replay '
                'requires a message broker'
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
    """Compare the log of a consumer with the emitted notifications."""
    database = open_database()
    scope = _scope(arguments)
    if scope.instance is not None:
        ledger.require_known(database, scope.instance)
    entries = ledger.read_entries(database, scope)
    audited = database.read(usage_audits.list_done)
    try:
        with _open_log(arguments.file) as lines:
            report = verify.verify(lines, entries, scope, audited)
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
