# SPDX-License-Identifier: Apache-2.0
"""What nobody works on: steps of hosts that are down, operations gone late.

Asked by the conductor's sweeper, one step and one transaction at a time. An
operation that must wait says for what.
"""

import sqlalchemy as sa

from minova import exception
from minova import flows
from minova.db import operations
from minova.exception import written
from minova.flows.chain import HostStep
from minova.notifications import events
from minova.objects import operation as records
from minova.objects.step import Wake
from minova.operations import journal
from minova.operations import unwind
from minova.operations import waiting
from minova.operations.book import Book


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
    book = _book(connection, loaded, publisher)
    work = flows.step_of(operation.kind, step.method)
    assert isinstance(work, HostStep)
    if step.detached or not operation.owns:
        waiting.for_host(book, why)
    elif work.host_is_down(book):
        _go_on_without(book, why)
    elif step.undoes is not None and work.can_wait:
        unwind.let_wait(book, f'host {step.host} is down, {why}')
        waiting.for_host(book, why)
    elif _never_began(step) and not work.must_succeed(step):
        _give_to_another(book, why)
    elif work.abandons and book.now > operation.deadline:
        unwind.abandon(book, _lost(book, why))
    else:
        waiting.for_host(book, why)
    return book.flush()


def host_is_back(
    connection: sa.Connection, step_id: str, publisher: str
) -> None:
    """Note that a host which was waited for has had the step all the time."""
    loaded = operations.load(connection, step_id)
    if loaded is None or loaded.operation.waits_for is None:
        return
    step = loaded.step
    if step.state == records.RUNNING and (
        step.incarnation == loaded.incarnation
    ):
        book = _book(connection, loaded, publisher)
        waiting.host_is_back(book)
        book.flush()


def _book(
    connection: sa.Connection, loaded: operations.Loaded, publisher: str
) -> Book:
    return Book.of(
        connection, loaded, events.publisher('conductor', publisher)
    )


def _go_on_without(book: Book, why: str) -> None:
    """End a step that the operation has just been finished without."""
    journal.tell(
        book.connection,
        book.operation,
        f' goes on without host {book.step.host} ({why}); what is there is '
        'removed when it returns',
    )
    book.end_step(records.PREEMPTED)


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
    book = _book(connection, loaded, publisher)
    where = journal.place(step)
    if busy or step.detached or not operation.owns:
        if operation.waits_for is None:
            waiting.for_end(book)
        return book.flush()
    why = 'was never done'
    if step.error is not None:
        why = f'failed each time: {written.decode(step.error)}'
    error = exception.DeadlineExceeded(
        operation=operation.kind, reason=f'{where} {why}'
    )
    work = flows.step_of(operation.kind, step.method)
    if step.undoes is not None and getattr(work, 'can_wait', False):
        unwind.let_wait(book, str(error))
        return book.flush()
    book.end_step(records.FAILED if step.started_at else records.PREEMPTED)
    if isinstance(work, HostStep) and work.must_succeed(step):
        unwind.give_up(book, error)
    else:
        unwind.start(book, error)
    return book.flush()
