# SPDX-License-Identifier: Apache-2.0
"""Repairs of operations: who owns what, and what is still open."""

from minova import clock
from minova import exception
from minova import states
from minova.audit.fence import lock
from minova.audit.fence import moved_on
from minova.audit.findings import Finding
from minova.audit.view import makes
from minova.context import internal
from minova.db import hosts
from minova.db import instances
from minova.db import moves
from minova.db import operations
from minova.db.engine import Connection
from minova.notifications import events
from minova.objects import operation as records
from minova.objects.instance import Instance
from minova.objects.operation import Operation
from minova.operations import intervene
from minova.operations.book import Book
from minova.operations.telling import Telling


def let_go(connection: Connection, finding: Finding, publisher: str) -> str:
    """Free an instance from an owner that is not there; tell it."""
    instance = lock(connection, finding)
    if instance.task_id != finding.operation:
        raise moved_on(instance.uuid)
    owner = None
    if instance.task_id is not None:
        owner = operations.get(connection, instance.task_id)
    if owner is not None and owner.owns and owner.state == records.RUNNING:
        raise moved_on(instance.uuid)
    kind = owner.kind if owner else None
    before = f'{instance.vm_state}, {instance.task_state}'
    _write_free(connection, instance, kind, owner, publisher)
    error = exception.OperationFailed(
        cause=kind or 'An operation',
        reason=f'it ended without letting go of the instance ({before}); '
        'an audit did',
    )
    instances.add_fault(
        connection,
        instance.uuid,
        finding.operation,
        error,
        instance.host,
        clock.now(),
    )
    return f'It is let go of, and {instance.vm_state}; a fault says why.'


def _write_free(
    connection: Connection,
    instance: Instance,
    kind: str | None,
    owner: Operation | None,
    publisher: str,
) -> None:
    known = instance.generation, instance.task_id
    telling = Telling(
        connection,
        instance,
        owner or _nobody(instance),
        None,
        events.publisher('conductor', publisher),
        beginning=True,
    )
    change = vars(states.let_go(instance, kind))
    for name, value in change.items():
        setattr(instance, name, value)
    telling.tell_update()
    change['notification_seq'] = telling.number_notices()
    change['updated_at'] = telling.now
    generation, task_id = known
    if not instances.update(
        connection,
        instance.uuid,
        change,
        generation=generation,
        task_id=task_id,
    ):
        raise moved_on(instance.uuid)
    telling.write_notices()


def _nobody(instance: Instance) -> Operation:
    """Return an operation to speak for, where the true one is not known."""
    now = clock.now()
    number = instance.task_id or clock.uuid4()
    return Operation(
        id=number,
        instance_uuid=instance.uuid,
        kind='unknown',
        generation=instance.generation,
        state=records.FAILED,
        owns=False,
        outcome=records.FAILED,
        unwinding=False,
        origin=instance.vm_state,
        outstanding=0,
        request_id='',
        user_id=None,
        project_id=None,
        context=internal().to_dict(),
        params={},
        error=None,
        waits_for=None,
        waits_since=None,
        incidents=0,
        deadline=now,
        started_at=now,
        updated_at=now,
        finished_at=now,
    )


# -- operations --------------------------------------------------------------


def end_operation(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """End an operation that has lost its instance."""
    instance = lock(connection, finding)
    operation = _running(connection, finding)
    if not operation.owns or instance.task_id == operation.id:
        raise moved_on(operation.id)
    error = exception.Preempted(operation=operation.kind, by='audit')
    book = _book(connection, instance, operation, publisher)
    for event in book.opened():
        book.broke(event, error)
    operations.close_open_steps(
        connection, operation.id, records.PREEMPTED, book.now
    )
    operation.owns = False
    operation.outstanding = 0
    operation.outcome = records.PREEMPTED
    book.flush()
    return f'{operation.kind} {operation.id} is ended as preempted.'


def recount_operation(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Count the open steps; end an operation that has none."""
    instance = lock(connection, finding)
    operation = _running(connection, finding)
    steps = operations.steps_of(connection, operation.id)
    count = sum(step.state in records.OPEN for step in steps)
    if count and count == operation.outstanding:
        raise moved_on(operation.id)
    book = _book(connection, instance, operation, publisher)
    operation.outstanding = count
    if count == 0 and operation.owns:
        error = exception.OperationFailed(
            cause=operation.kind,
            reason='nothing of it was owed by anybody any more; an audit '
            'ended it',
        )
        book.fail(error, lost=True)
    book.flush()
    if count:
        return f'{operation.kind} {operation.id} counts {count}.'
    return f'{operation.kind} {operation.id} is ended as {operation.state}.'


def _running(connection: Connection, finding: Finding) -> Operation:
    found = operations.get(connection, str(finding.operation))
    if found is None or found.state != records.RUNNING:
        raise moved_on(f'Operation {finding.operation}')
    return found


def _book(
    connection: Connection,
    instance: Instance,
    operation: Operation,
    publisher: str,
) -> Book:
    return Book(
        connection,
        instance,
        operation,
        None,
        events.publisher('conductor', publisher),
    )


# -- steps, moves ------------------------------------------------------------


def close_steps(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Close what is open of an operation that has ended."""
    lock(connection, finding)
    number = str(finding.operation)
    found = operations.get(connection, number)
    if found is not None and found.state == records.RUNNING:
        raise moved_on(f'Operation {number}')
    operations.close_open_steps(
        connection, number, records.PREEMPTED, clock.now()
    )
    return 'It is closed as preempted.'


def give_up_step(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Wait no more for a host that is gone for good."""
    lock(connection, finding)
    host = str(finding.host)
    if hosts.services(connection, operations.COMPUTE, host):
        raise moved_on(f'Host {host}')
    loaded = operations.load(connection, str(finding.facts['step']))
    if loaded is None or loaded.step.state not in records.OPEN:
        raise moved_on(f'Step {finding.facts["step"]}')
    book = Book.of(
        connection, loaded, events.publisher('conductor', publisher)
    )
    book.end_step(records.PREEMPTED)
    book.flush()
    intervene.look_again(connection, [loaded.step])
    return f'{loaded.step.method} is not waited for any more.'


def close_move(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Let a migration that nobody makes be over."""
    instance = lock(connection, finding)
    move = moves.get(connection, int(finding.facts['move']))
    if move is None or move.status in moves.OVER:
        raise moved_on(f'Migration {finding.facts["move"]}')
    running = [
        operation
        for operation in operations.of_instance(connection, instance.uuid)
        if operation.state == records.RUNNING
    ]
    if makes(running, move):
        raise moved_on(f'Migration {move.id}')
    ended = {'status': 'error', 'updated_at': clock.now()}
    moves.update(connection, move.id, ended)
    return f'Migration {move.id} is closed as an error.'
