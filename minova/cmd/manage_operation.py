# SPDX-License-Identifier: Apache-2.0
"""minova-manage operation: what is going on, and what may be done about it."""

import argparse
from collections.abc import Iterable
from collections.abc import Iterator
import datetime
import json

from minova import clock
from minova import exception
from minova.cmd.commands import Commands
from minova.cmd.database import current
from minova.cmd.words import number
from minova.conf import CONF
from minova.db import hosts
from minova.db import instances
from minova.db import operations
from minova.db.engine import Connection
from minova.exception import written
from minova.objects import operation as records
from minova.objects.instance import Instance
from minova.operations import intervene
from minova.operations import journal
from minova.operations import outlook
from minova.operations.outlook import Prospect

_LINE = '{:<36}  {:<14}  {:<11}  {:<36}  {:<19}  {:<24}  {:<12}  {}'.format
_HEAD = _LINE(
    'OPERATION',
    'KIND',
    'STATE',
    'INSTANCE',
    'BEGAN (UTC)',
    'STEP',
    'HOST',
    'WAITS FOR',
).rstrip()
_STEP = '{:>3}  {:<40} {:<12} {:<9} {:<20} {:<20} {:>8}'.format


# -- list --------------------------------------------------------------------


def show_list(arguments: argparse.Namespace) -> int:
    """Print the open operations, the oldest first."""

    def read(connection: Connection) -> list[str]:
        found = operations.listing(
            connection,
            arguments.limit,
            ended=arguments.all,
            waiting=arguments.waiting,
            host=arguments.host,
            instance_uuid=arguments.instance,
        )
        if not found:
            _require_known(connection, arguments)
        return list(_rows(connection, found))

    rows = current().read(read)
    print(_HEAD)
    for row in rows:
        print(row)
    return 0


def _require_known(
    connection: Connection, arguments: argparse.Namespace
) -> None:
    """Raise for a host or an instance that there is not: a slip, perhaps."""
    host, uuid = arguments.host, arguments.instance
    if host is not None and not hosts.hosts(connection, host):
        raise exception.HostNotFound(host=host)
    if uuid is not None and not instances.get(connection, uuid, deleted=True):
        raise exception.InstanceNotFound(instance_id=uuid)


def _rows(
    connection: Connection, found: list[records.Operation]
) -> Iterator[str]:
    steps = operations.open_steps_among(connection, (o.id for o in found))
    for operation in found:
        own = [s for s in steps.get(operation.id, ()) if not s.nested]
        waits = operation.waits_for or ''
        if operation.waits_since is not None:
            waits += f', since {outlook.moment(operation.waits_since)}'
        yield _LINE(
            operation.id,
            operation.kind,
            _state(operation),
            operation.instance_uuid,
            _short(operation.started_at),
            _among(step.method for step in own) or '-',
            _among(step.host or 'a conductor' for step in own) or '-',
            waits or '-',
        )


def _among(words: Iterable[str]) -> str:
    return ', '.join(dict.fromkeys(words))


def _state(operation: records.Operation) -> str:
    """Return its state in a word; an open one is at one of three things."""
    if operation.state != records.RUNNING:
        return operation.state
    if not operation.owns:
        return 'cleaning'
    return 'undoing' if operation.unwinding else operation.state


def _short(value: datetime.datetime | None) -> str:
    return '-' if value is None else f'{value:%Y-%m-%d %H:%M:%S}'


# -- show --------------------------------------------------------------------


def show(arguments: argparse.Namespace) -> int:
    """Print all that is known of an operation, and what happens next."""
    database = current()
    operation = _named(arguments.operation)

    def read(connection: Connection) -> list[str]:
        instance = instances.get(
            connection, operation.instance_uuid, deleted=True
        )
        assert instance is not None
        prospects = outlook.of(connection, operation)
        return [
            *_facts(operation, instance),
            '',
            *_steps(operations.steps_of(connection, operation.id)),
            *_next(operation, prospects),
            *_choices(operation, prospects),
        ]

    for line in database.read(read):
        print(line)
    return 0


def _named(name: str) -> records.Operation:
    """Return the operation of that id or request; Conflict for several.

    Several are printed, so that one of them can be named.
    """
    database = current()
    found = database.read(
        lambda connection: operations.named(connection, name)
    )
    if not found:
        raise exception.NoSuchOperation(name=name)
    if len(found) > 1:
        print(_HEAD)
        for row in database.read(lambda c: list(_rows(c, found))):
            print(row)
        raise exception.Conflict(
            f'{name} began {len(found)} operations; name one of them by its '
            'id.'
        )
    return found[0]


def _facts(operation: records.Operation, instance: Instance) -> Iterator[str]:
    owns = ', owns its instance' if operation.owns else ''
    task = f', task {instance.task_state}' if instance.task_state else ''
    host = f', on {instance.host}' if instance.host else ''
    passed = ''
    if operation.finished_at is None and (operation.deadline < clock.now()):
        passed = ' (passed)'
    facts = {
        'operation': operation.id,
        'kind': operation.kind,
        'state': f'{_state(operation)}{owns}',
        'instance': f'{instance.uuid} ({instance.vm_state}{task}{host})',
        'request': operation.request_id or '-',
        'user': operation.user_id or '-',
        'project': operation.project_id or '-',
        'parameters': json.dumps(operation.params, sort_keys=True),
        'began': outlook.moment(operation.started_at),
        'deadline': f'{outlook.moment(operation.deadline)}{passed}',
    }
    if operation.finished_at is not None:
        facts['ended'] = outlook.moment(operation.finished_at)
    if operation.error is not None:
        facts['because'] = str(written.decode(operation.error))
    if operation.waits_for is not None:
        facts['waits for'] = operation.waits_for
    if operation.waits_since is not None:
        facts['since'] = outlook.moment(operation.waits_since)
    for name, value in facts.items():
        yield f'{name:<11} {value}'


def _steps(steps: list[records.Step]) -> Iterator[str]:
    yield _STEP('', 'STEP', 'HOST', 'STATE', 'BEGAN', 'ENDED', 'ATTEMPTS')
    for step in steps:
        name = step.method
        if step.nested:
            name += ' (called)'
        elif step.undoes is not None:
            name += ' (undoes)'
        yield _STEP(
            step.number,
            name,
            step.host or 'a conductor',
            step.state,
            _short(step.started_at),
            _short(step.finished_at),
            step.attempts + 1 if step.started_at else 0,
        )
        if step.error is not None:
            yield f'     {written.decode(step.error)}'


def _next(
    operation: records.Operation, prospects: list[Prospect]
) -> Iterator[str]:
    """Return what happens next to each open step."""
    if prospects:
        yield ''
        yield 'What happens next'
    for prospect in prospects:
        yield f'  {prospect.step.method}: {prospect.next}'
        if prospect.late:
            yield (
                f'    if it is open at {outlook.moment(operation.deadline)}: '
                f'{prospect.late}'
            )


def _choices(
    operation: records.Operation, prospects: list[Prospect]
) -> Iterator[str]:
    """Return what the operator may do."""
    if not prospects:
        return
    yield ''
    yield 'What you may do'
    if any(prospect.step.not_before for prospect in prospects):
        yield f'  minova-manage operation retry {operation.id}'
        yield '    the next attempt is made at once'
    at_work = [prospect for prospect in prospects if prospect.at_work]
    force = ' --force' if at_work else ''
    yield f'  minova-manage operation abandon{force} {operation.id}'
    if operation.owns:
        yield '    ends it now; the instance is left in error'
    else:
        yield '    ends it now; what was to be removed stays where it is'
    for prospect in at_work:
        step = prospect.step
        yield f'    {step.method} would be cut off at work on {step.host}'


# -- retry, abandon ----------------------------------------------------------


def retry(arguments: argparse.Namespace) -> int:
    """Let what pauses after an error be tried again at once."""
    database = current()
    operation = _named(arguments.operation)
    paused = database.write(
        lambda connection: intervene.retry(connection, operation.id)
    )
    if paused:
        names = _among(step.method for step in paused)
        print(f'Due at once: {names}.')
    else:
        print('No step of it pauses before another attempt.')
    prospects = database.read(
        lambda connection: outlook.of(connection, operation)
    )
    for prospect in prospects:
        print(f'{prospect.step.method}: {prospect.next}.')
    return 0


def abandon(arguments: argparse.Namespace) -> int:
    """End an operation that nobody wants to wait for any more."""
    database = current()
    operation = _named(arguments.operation)
    ending = database.write(
        lambda connection: intervene.abandon(
            connection,
            operation.id,
            arguments.reason,
            arguments.force,
            CONF.host,
        )
    )
    for line in _told(ending):
        print(line)
    return 0


def _told(ending: intervene.Ending) -> Iterator[str]:
    operation = ending.operation
    yield f'{journal.named(operation)} has ended: {operation.state}.'
    left = ', '.join(ending.left)
    if ending.owned:
        yield 'The instance is in error and free for other operations.'
    if not left:
        yield 'Nothing of it is left on any host.'
    elif ending.owned:
        yield f'Its guest or disks may be on: {left}.'
        yield 'Look there before it is started again. Deleting it clears them.'
    else:
        yield f'What was to be removed is left on: {left}.'
    if ending.looking:
        looking = ', '.join(ending.looking)
        yield f'Once more what there is of it is removed on: {looking}.'
    if ending.held:
        yield f'Its room is kept on: {", ".join(ending.held)}.'


# -- the words ---------------------------------------------------------------


def add(commands: Commands) -> None:
    """Add the commands."""
    group = commands.group('operation', 'what is going on')
    made = group.command('list', show_list)
    made.add_argument(
        '--all',
        action='store_true',
        help='also those that have ended, the newest first',
    )
    made.add_argument(
        '--waiting',
        action='store_true',
        help='only those that wait for something',
    )
    made.add_argument('--host', help='only those that need this host')
    made.add_argument('--instance', help='only those of this instance')
    made.add_argument(
        '--limit',
        type=number(1, 100000),
        default=100,
        metavar='N',
        help='how many at most; 100 if not given',
    )
    for name, run in (('show', show), ('retry', retry), ('abandon', abandon)):
        made = group.command(name, run)
        made.add_argument(
            'operation', help='its id, or that of its request (req-...)'
        )
    made.add_argument(
        '--reason', metavar='TEXT', help='why; users read it in the fault'
    )
    made.add_argument(
        '--force',
        action='store_true',
        help='also when a host that is up has it at work',
    )
