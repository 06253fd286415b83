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
from minova.cmd.commands import Commands
from minova.cmd.commands import Run
from minova.cmd.database import current
from minova.cmd.words import moment
from minova.db import ledger as queries
from minova.db import outbox
from minova.db.ledger import Marker
from minova.db.ledger import Scope
from minova.notifications import envelope
from minova.notifications import ledger
from minova.notifications import verify

_NAME = 'minova-manage notifications'


def add(commands: Commands) -> None:
    """Add the commands."""
    group = commands.group('notifications', 'what was told')
    shown = _command(group, 'list', show)
    _add_scope(shown)
    shown.add_argument(
        '--unpublished', action='store_true', help='only what still waits'
    )
    shown.add_argument(
        '--json',
        action='store_true',
        help='one message a line, as consumers get it',
    )
    again = _command(group, 'replay', replay)
    _add_scope(again)
    again.add_argument('--all', action='store_true', help='all of it')
    again.add_argument(
        '--to-queue',
        type=_queue,
        metavar='NAME',
        help='only to this queue, which is made if there is none',
    )
    again.add_argument(
        '--after',
        type=_place,
        metavar='UUID:NUMBER',
        help='go on behind this one, as an interrupted replay says',
    )
    again.add_argument(
        '--dry-run', action='store_true', help='only say how many'
    )
    compared = _command(group, 'verify', compare)
    compared.add_argument(
        'file', metavar='FILE', help='one notification a line; - reads stdin'
    )
    _add_scope(compared)
    compared.add_argument(
        '--json', action='store_true', help='the whole result, for machines'
    )


def _command(group: Commands, name: str, run: Run) -> argparse.ArgumentParser:
    made = group.command(name, run)
    made.set_defaults(unpublished=False)
    return made


def _add_scope(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        '--instance', type=_uuid, metavar='UUID', help='only of this server'
    )
    command.add_argument(
        '--since',
        type=moment,
        metavar='TIME',
        help='only what was told then (2026-01-31T12:00, UTC) or later',
    )
    command.add_argument(
        '--until',
        type=moment,
        metavar='TIME',
        help='only what was told before',
    )


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is no UUID') from None


def _queue(text: str) -> str:
    # What AMQP can say: a short string; the broker's own begin with amq.
    if not 0 < len(text.encode()) < 256 or text.startswith('amq.'):
        raise argparse.ArgumentTypeError(f'{text!r} is no name for a queue')
    return text


def _place(text: str) -> Marker:
    instance, _, number = text.partition(':')
    if not re.fullmatch('[0-9]{1,9}', number):
        raise argparse.ArgumentTypeError(f'{text!r} is not UUID:NUMBER')
    return _uuid(instance), int(number)


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
    database = current()
    scope = _scope(arguments)
    order: tuple[str, ...] = queries.AS_WRITTEN
    if scope.instance is not None:
        order = queries.BY_INSTANCE
        _say_what_is_gone(ledger.require_known(database, scope.instance))
    for entry in ledger.entries(database, scope, order):
        if arguments.json:
            print(json.dumps(envelope.sealed(entry)))
        else:
            print(_line(entry, with_instance=scope.instance is None))
    return 0


def _say_what_is_gone(kept: queries.Kept) -> None:
    first = kept.first or (kept.last or 0) + 1
    if first > 1:
        print(
            f'Numbers 1 to {first - 1} were purged from the archive.',
            file=sys.stderr,
        )


def _line(entry: queries.Entry, with_instance: bool) -> str:
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
            f'{_NAME} replay: say which: --instance, --since or --all',
            file=sys.stderr,
        )
        return 2
    database = current()
    if scope.instance is not None:
        ledger.require_known(database, scope.instance)
    if arguments.dry_run:
        counts = database.read(
            lambda connection: queries.counts(
                connection, scope, arguments.after
            )
        )
        _tell('would be replayed', counts.told - counts.waiting)
        _tell_waiting(counts.waiting)
        return 0
    progress = ledger.Progress()
    try:
        with _sender(arguments.to_queue) as send:
            ledger.replay(database, scope, send, progress, arguments.after)
    except (KeyboardInterrupt, exception.Unavailable):
        _tell('were replayed before it was interrupted', progress.replayed)
        if progress.last is not None:
            instance, number = progress.last.instance_uuid, progress.last.seq
            print(f'To go on, add: --after {instance}:{number}')
        raise
    _tell('were replayed', progress.replayed)
    _tell_waiting(progress.waiting)
    return 0


def _tell(what: str, count: int) -> None:
    print(f'{count} notifications {what}.')


def _tell_waiting(count: int) -> None:
    if count:
        print(
            f'{count} are not published yet; the relay, which keeps their '
            'order, will.'
        )


@contextlib.contextmanager
def _sender(queue: str | None) -> Iterator[Callable[[outbox.Notice], None]]:
    """Return what sends: to everybody, or to one queue."""
    from minova.rpc.oslo import OsloBus

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
        with bus.queue(queue) as found:
            yield lambda notice: found.send(
                notice.context, envelope.body(notice)
            )


# -- verify ------------------------------------------------------------------


def compare(arguments: argparse.Namespace) -> int:
    """Compare a consumer's log with what was told."""
    database = current()
    scope = _scope(arguments)
    if scope.instance is not None:
        ledger.require_known(database, scope.instance)
    told = ledger.entries(database, scope)
    try:
        with _opened(arguments.file) as lines:
            report = verify.verify(lines, told, scope)
    except (OSError, verify.NotALog) as error:
        print(f'{_NAME} verify: {arguments.file}: {error}', file=sys.stderr)
        return 2
    if arguments.json:
        print(json.dumps(verify.as_json(report)))
    else:
        for line in verify.render(report):
            print(line)
    return 0 if report.is_clean else 1


def _opened(name: str) -> contextlib.AbstractContextManager[BinaryIO]:
    if name == '-':
        return contextlib.nullcontext(sys.stdin.buffer)
    return open(name, 'rb')
