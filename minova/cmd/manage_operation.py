# SPDX-License-Identifier: Apache-2.0
"""minova-manage operation: list, explain, retry and abandon operations."""

import argparse
from collections.abc import Iterable
from collections.abc import Iterator
import datetime
import json

from minova import clock
from minova import exception
from minova.cmd.argument_types import bounded_int
from minova.cmd.commands import Commands
from minova.cmd.database import open_database
from minova.conf import CONF
from minova.db.connections.engine import Connection
from minova.db.queries import hosts
from minova.db.queries import instances
from minova.db.queries import operations
from minova.engine import next_steps
from minova.engine import operation_log
from minova.engine import operator_actions
from minova.engine.next_steps import NextStep
from minova.exception import serialization
from minova.objects import operation as records
from minova.objects.base import Object
from minova.objects.instance import Instance
from minova.objects.operation_params import OperationParams
from minova.objects.step_results import HostFenced

_LINE = '{:<36}  {:<14}  {:<11}  {:<36}  {:<19}  {:<24}  {:<12}  {}'.format
_HEADER = _LINE(
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
    """List the running operations, oldest first."""

    def read(connection: Connection) -> list[str]:
        found = operations.list_operations(
            connection,
            arguments.limit,
            ended=arguments.all,
            waiting=arguments.waiting,
            host=arguments.host,
            instance_uuid=arguments.instance,
        )
        if not found:
            _require_known(connection, arguments)
        return list(_format_rows(connection, found))

    rows = open_database().read(read)
    print(_HEADER)
    for row in rows:
        print(row)
    return 0


def _require_known(
    connection: Connection, arguments: argparse.Namespace
) -> None:
    """Raise an error for an unknown host or instance in the arguments."""
    host, uuid = arguments.host, arguments.instance
    if host is not None and not hosts.list_hosts(connection, host):
        raise exception.HostNotFound(host=host)
    if uuid is not None and not instances.get(connection, uuid, deleted=True):
        raise exception.InstanceNotFound(instance_id=uuid)


def _format_rows(
    connection: Connection, found: list[records.Operation]
) -> Iterator[str]:
    steps = operations.list_open_steps_by_operation(
        connection, (o.id for o in found)
    )
    for operation in found:
        own = [s for s in steps.get(operation.id, ()) if not s.nested]
        wait_reason = operation.wait_reason or ''
        if operation.waiting_since is not None:
            wait_reason += (
                f', since {next_steps.format_time(operation.waiting_since)}'
            )
        yield _LINE(
            operation.id,
            operation.kind,
            _display_state(operation),
            operation.instance_uuid,
            _format_time(operation.started_at),
            _join_unique(step.method for step in own) or '-',
            _join_unique(step.host or 'a conductor' for step in own) or '-',
            wait_reason or '-',
        )


def _join_unique(words: Iterable[str]) -> str:
    return ', '.join(dict.fromkeys(words))


def _display_state(operation: records.Operation) -> str:
    """Return the state; a running operation may be cleaning or undoing."""
    if operation.state != records.RUNNING:
        return operation.state
    if not operation.owns_instance:
        return 'cleaning'
    return 'undoing' if operation.unwinding else operation.state


def _format_time(value: datetime.datetime | None) -> str:
    return '-' if value is None else f'{value:%Y-%m-%d %H:%M:%S}'


# -- show --------------------------------------------------------------------


def show(arguments: argparse.Namespace) -> int:
    """Print an operation, its steps, what is next and what you can do."""
    database = open_database()
    operation = _get_operation(arguments.operation)

    def read(connection: Connection) -> list[str]:
        instance = instances.get(
            connection, operation.instance_uuid, deleted=True
        )
        assert instance is not None
        predictions = next_steps.predict(connection, operation)
        return [
            *_describe_operation(operation, instance),
            '',
            *_describe_steps(operations.list_steps(connection, operation.id)),
            *_describe_next_steps(operation, predictions),
            *_describe_actions(operation, predictions),
        ]

    for line in database.read(read):
        print(line)
    return 0


def _get_operation(name: str) -> records.Operation:
    """Return the operation with this id or begun by this request.

    Raises Conflict if a request began several, after printing them.
    """
    database = open_database()
    found = database.read(
        lambda connection: operations.list_by_id_or_request(connection, name)
    )
    if not found:
        raise exception.OperationNotFound(name=name)
    if len(found) > 1:
        print(_HEADER)
        for row in database.read(lambda c: list(_format_rows(c, found))):
            print(row)
        raise exception.Conflict(
            f'{name} began {len(found)} operations; repeat the command with '
            'the id of one of them.'
        )
    return found[0]


def _format_params(params: OperationParams) -> str:
    values = {
        name: value.as_dict() if isinstance(value, Object) else value
        for name, value in params.as_dict().items()
        if value is not None
    }
    return json.dumps(values, sort_keys=True)


def _describe_operation(
    operation: records.Operation, instance: Instance
) -> Iterator[str]:
    owns = ', owns its instance' if operation.owns_instance else ''
    task = f', task {instance.task_state}' if instance.task_state else ''
    host = f', on {instance.host}' if instance.host else ''
    passed = ''
    if operation.finished_at is None and (operation.deadline < clock.now()):
        passed = ' (passed)'
    facts = {
        'operation': operation.id,
        'kind': operation.kind,
        'state': f'{_display_state(operation)}{owns}',
        'instance': f'{instance.uuid} ({instance.vm_state}{task}{host})',
        'request': operation.request_id or '-',
        'user': operation.user_id or '-',
        'project': operation.project_id or '-',
        'parameters': _format_params(operation.params),
        'began': next_steps.format_time(operation.started_at),
        'deadline': f'{next_steps.format_time(operation.deadline)}{passed}',
    }
    if operation.finished_at is not None:
        facts['ended'] = next_steps.format_time(operation.finished_at)
    if operation.error is not None:
        facts['error'] = str(serialization.decode(operation.error))
    if operation.wait_reason is not None:
        facts['waits for'] = operation.wait_reason
    if operation.waiting_since is not None:
        facts['since'] = next_steps.format_time(operation.waiting_since)
    for name, value in facts.items():
        yield f'{name:<11} {value}'


def _describe_steps(steps: list[records.Step]) -> Iterator[str]:
    yield _STEP('', 'STEP', 'HOST', 'STATE', 'BEGAN', 'ENDED', 'ATTEMPTS')
    for step in steps:
        name = step.method
        if step.nested:
            name += ' (nested)'
        elif step.undoes is not None:
            name += ' (undo)'
        yield _STEP(
            step.number,
            name,
            step.host or 'a conductor',
            step.state,
            _format_time(step.started_at),
            _format_time(step.finished_at),
            step.attempts + 1 if step.started_at else 0,
        )
        if step.error is not None:
            yield f'     {serialization.decode(step.error)}'
        elif isinstance(step.result, HostFenced):
            yield f'     {step.result.describe()}'


def _describe_next_steps(
    operation: records.Operation, predictions: list[NextStep]
) -> Iterator[str]:
    """Return the next event of each open step."""
    if predictions:
        yield ''
        yield 'Next'
    deadline = next_steps.format_time(operation.deadline)
    for prediction in predictions:
        yield f'  {prediction.step.method}: {prediction.action}'
        if prediction.at_deadline:
            yield f'    if open at {deadline}: {prediction.at_deadline}'


def _describe_actions(
    operation: records.Operation, predictions: list[NextStep]
) -> Iterator[str]:
    """Return the commands that the operator may use."""
    if not predictions:
        return
    yield ''
    yield 'Available commands'
    if any(prediction.step.not_before for prediction in predictions):
        yield f'  minova-manage operation retry {operation.id}'
        yield '    starts the next attempt now'
    running = [one for one in predictions if one.is_running]
    force = ' --force' if running else ''
    yield f'  minova-manage operation abandon{force} {operation.id}'
    if operation.owns_instance:
        yield '    ends it now; the instance goes to error'
    else:
        yield '    ends it now; the clean-up is not done'
    for prediction in running:
        step = prediction.step
        yield f'    {step.method} is interrupted on {step.host}'


# -- retry, abandon ----------------------------------------------------------


def retry(arguments: argparse.Namespace) -> int:
    """Start the next attempt of an operation now, without its backoff."""
    database = open_database()
    operation = _get_operation(arguments.operation)
    paused = database.write(
        lambda connection: operator_actions.retry(connection, operation.id)
    )
    if paused:
        names = _join_unique(step.method for step in paused)
        print(f'Due now: {names}.')
    else:
        print('No step waits for its next attempt.')
    predictions = database.read(
        lambda connection: next_steps.predict(connection, operation)
    )
    for prediction in predictions:
        print(f'{prediction.step.method}: {prediction.action}.')
    return 0


def abandon(arguments: argparse.Namespace) -> int:
    """End an operation now; its instance goes to error."""
    database = open_database()
    operation = _get_operation(arguments.operation)
    ending = database.write(
        lambda connection: operator_actions.abandon(
            connection,
            operation.id,
            arguments.reason,
            arguments.force,
            CONF.host,
        )
    )
    for line in _describe_ending(ending):
        print(line)
    return 0


def _describe_ending(ending: operator_actions.AbandonResult) -> Iterator[str]:
    operation = ending.operation
    yield f'{operation_log.describe(operation)} has ended: {operation.state}.'
    hosts_left = ', '.join(ending.leftover_hosts)
    if ending.was_owner:
        yield 'The instance is in error; other operations can begin.'
    if not hosts_left:
        yield 'No host has anything left of it.'
    elif ending.was_owner:
        yield f'Its guest or disks may be on: {hosts_left}.'
        yield (
            'Check these hosts before you start the instance. A delete '
            'removes the guest and disks.'
        )
    else:
        yield f'The clean-up was not done on: {hosts_left}.'
    if ending.cleanup_hosts:
        cleaned = ', '.join(ending.cleanup_hosts)
        yield f'A new clean-up is pending on: {cleaned}.'
    if ending.claimed_hosts:
        yield f'Its allocations stay on: {", ".join(ending.claimed_hosts)}.'


# -- commands ----------------------------------------------------------------


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    group = commands.add_group('operation', 'operations of instances')
    parser = group.add_command('list', show_list)
    parser.add_argument(
        '--all',
        action='store_true',
        help='also the ended ones, newest first',
    )
    parser.add_argument(
        '--waiting',
        action='store_true',
        help='only those with a wait reason',
    )
    parser.add_argument('--host', help='only those with a step on this host')
    parser.add_argument('--instance', help='only those of this instance')
    parser.add_argument(
        '--limit',
        type=bounded_int(1, 100000),
        default=100,
        metavar='N',
        help='the largest number to list, 1 to 100000 (%(default)s)',
    )
    for name, run in (('show', show), ('retry', retry), ('abandon', abandon)):
        parser = group.add_command(name, run)
        parser.add_argument(
            'operation', help='the id of it or of its request (req-...)'
        )
    parser.add_argument(
        '--reason',
        metavar='TEXT',
        help='the reason, which users see in the fault of the instance',
    )
    parser.add_argument(
        '--force',
        action='store_true',
        help='also while a step runs on a host that is up',
    )
