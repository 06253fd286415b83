# SPDX-License-Identifier: Apache-2.0
"""What nobody works on: steps of hosts that are down, operations gone late.

Asked by the conductor's sweeper, one step and one transaction at a time. An
operation that must wait says for what.
"""

import sqlalchemy as sa

from minova import exception
from minova import flows
from minova.db import operations
from minova.flows.chain import HostStep
from minova.notifications import events
from minova.objects import operation as records
from minova.objects.step import Wake
from minova.operations import unwind
from minova.operations.book import Book
from minova.rpc import wire


def host_is_down(
    connection: sa.Connection, step_id: str, why: str, publisher: str
) -> list[Wake]:
    """Do what can be done without the host that owes the step.

    ``why`` says why the host is taken to be down.
    """
    loaded = operations.load(connection, step_id)
    if loaded is None or loaded.step.state not in records.OPEN:
        return []
    if loaded.operation.state != records.RUNNING:
        return []
    step, operation = loaded.step, loaded.operation
    book = Book(
        connection,
        loaded.instance,
        operation,
        step,
        events.publisher('conductor', publisher),
        loaded.newest,
    )
    work = flows.step_of(operation.kind, step.method)
    assert isinstance(work, HostStep)
    if step.detached or not operation.owns:
        _wait(book, why)
    elif work.host_is_down(book):
        book.end_step(records.PREEMPTED)
    elif step.undoes is not None and work.can_wait:
        unwind.let_wait(book)
        _wait(book, why)
    elif _never_began(step) and not work.must_succeed(step):
        _give_to_another(book, why)
    elif work.abandons and book.now > operation.deadline:
        unwind.abandon(book, _lost(book, why))
    else:
        _wait(book, why)
    return book.flush()


def _never_began(step: records.Step) -> bool:
    return step.started_at is None and not step.nested


def _give_to_another(book: Book, why: str) -> None:
    """Take the step from a host that has not begun it; it cannot any more."""
    error = _lost(book, why)
    book.end_step(records.PREEMPTED)
    unwind.start(book, error)


def _lost(book: Book, why: str) -> exception.HostLost:
    left = 'Nothing was begun there.'
    if book.step.started_at is not None:
        left = 'What it left is removed when it returns.'
    return exception.HostLost(
        host=book.step.host, step=f'{book.step.method} ({why})', left=left
    )


def _wait(book: Book, why: str) -> None:
    """Say for what the operation waits."""
    step = book.step
    book.operation.waits_for = (
        f'host {step.host} to return ({why}) for {step.method}'
    )


def is_late(
    connection: sa.Connection, step_id: str, busy: bool, publisher: str
) -> list[Wake]:
    """See to an open step of an operation that is past its deadline.

    ``busy`` says that a service which is up has the step at work: it is left
    to end by itself. Otherwise the operation is ended here, taken back if
    that is possible: whoever should have begun the step did not.
    """
    loaded = operations.load(connection, step_id)
    if loaded is None or loaded.step.state not in records.OPEN:
        return []
    operation, step = loaded.operation, loaded.step
    if operation.state != records.RUNNING:
        return []
    book = Book(
        connection,
        loaded.instance,
        operation,
        step,
        events.publisher('conductor', publisher),
        loaded.newest,
    )
    where = f'{step.method} on {step.host or "a conductor"}'
    if busy or step.detached or not operation.owns:
        operation.waits_for = operation.waits_for or f'{where} to end'
        return book.flush()
    why = 'was never done'
    if step.error is not None:
        why = f'failed each time: {wire.decode_error(step.error)}'
    error = exception.DeadlineExceeded(
        operation=operation.kind, reason=f'{where} {why}'
    )
    book.end_step(records.FAILED if step.started_at else records.PREEMPTED)
    work = flows.step_of(operation.kind, step.method)
    if isinstance(work, HostStep) and work.must_succeed(step):
        unwind.give_up(book, error)
    else:
        unwind.start(book, error)
    return book.flush()
