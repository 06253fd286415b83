# SPDX-License-Identifier: Apache-2.0
"""The baton: a step is taken, saved in the middle, ended; the next is owed.

Each function is one transaction on behalf of a compute and may be asked again
when its answer was lost: it then answers as before and writes nothing. A
compute that no longer holds the step is told so by Stale.
"""

from typing import Any

import sqlalchemy as sa

from minova import clock
from minova import exception
from minova import flows
from minova.db import operations
from minova.exception import written
from minova.flows.chain import HostStep
from minova.notifications import events
from minova.objects import operation as records
from minova.objects.step import Ticket
from minova.objects.step import Wake
from minova.operations import book as books
from minova.operations import journal
from minova.operations import unwind
from minova.operations import waiting
from minova.operations.book import Book

#: Seconds before a step that must succeed is tried again: doubled each time.
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0


def take(
    connection: sa.Connection, step_id: str, host: str, incarnation: str
) -> Ticket:
    """Let the newest start of ``host``'s compute run a step.

    Raises Stale when the step is not there to be run by this one.
    """
    loaded = books.load(connection, step_id)
    step = loaded.step
    if step.host != host or loaded.incarnation != incarnation:
        raise _gone(step)
    if step.state in (records.DONE, records.FAILED, records.UNDONE):
        return _ticket(_book(connection, loaded), step.state)
    _require_live(loaded)
    work = _work(loaded)
    if loaded.earlier is not None and not work.beside:
        return _ticket(
            _book(connection, loaded), 'first', first=[loaded.earlier]
        )
    if step.not_before is not None and step.not_before > clock.now():
        return _ticket(_book(connection, loaded), 'later')
    book = _book(connection, loaded)
    resumed = step.started_at is not None
    if not resumed:
        work.begins(book)
        step.started_at = book.now
    again = step.state == records.RUNNING and step.incarnation != incarnation
    waiting.taken(book, again)
    step.state = records.RUNNING
    step.incarnation = incarnation
    book.flush()
    return _ticket(book, 'run', resumed=resumed)


def save(
    connection: sa.Connection,
    step_id: str,
    incarnation: str,
    milestone: str,
    facts: dict[str, Any],
) -> dict[str, str]:
    """Note that a step has passed a milestone, once ever.

    Returns the nested steps that it may call, by method.
    """
    loaded = _held(connection, step_id, incarnation)
    work = _work(loaded)
    book = _book(connection, loaded)
    if milestone not in loaded.step.saved:
        work.saved(book, milestone, facts)
        loaded.step.saved[milestone] = facts
        book.flush()
    return _nested(book, work)


def finish(
    connection: sa.Connection,
    step_id: str,
    incarnation: str,
    result: dict[str, Any],
) -> list[Wake]:
    """Note that a step is done; return who is to be woken for the next."""
    loaded = books.load(connection, step_id)
    step = loaded.step
    if step.state == records.DONE and step.incarnation == incarnation:
        return books.open_wakes(connection, loaded.operation)
    _require_held(loaded, incarnation)
    book = _book(connection, loaded)
    _work(loaded).ends(book, result)
    step.result = result
    step.error = None
    book.end_step(records.DONE)
    if step.undoes is not None and not step.detached:
        unwind.undone(book, step.undoes)
    return book.flush()


def fail(
    connection: sa.Connection,
    step_id: str,
    incarnation: str,
    error: exception.MinovaException,
    facts: dict[str, Any],
) -> list[Wake]:
    """Note that a step has failed; return who is to be woken.

    ``facts`` may hold the guest's ``power_state`` as it was found afterwards.
    """
    loaded = books.load(connection, step_id)
    step = loaded.step
    ended = (records.FAILED, records.UNDONE)
    if step.incarnation == incarnation and step.state in ended:
        return books.open_wakes(connection, loaded.operation)
    if step.incarnation is None and step.attempts:
        return []
    _require_held(loaded, incarnation)
    book = _book(connection, loaded)
    work = _work(loaded)
    step.error = written.encode(error)
    if 'power_state' in facts and loaded.instance.host == step.host:
        book.change(power_state=facts['power_state'])
    if work.must_succeed(step):
        _try_again_or_give_up(book, work, error)
    elif work.tries_again(error) and book.now < loaded.operation.deadline:
        _try_again(book, error)
    else:
        work.fails(book, error)
        book.end_step(records.FAILED)
        if not step.nested:
            unwind.start(book, error, f'{journal.place(step)} failed: {error}')
    return book.flush()


def _try_again_or_give_up(
    book: Book, work: HostStep, error: exception.MinovaException
) -> None:
    step, operation = book.step, book.operation
    late = book.now > operation.deadline
    if work.gives_up(error) or (late and not work.can_wait):
        work.fails(book, error)
        book.end_step(records.FAILED)
        unwind.give_up(book, error)
        return
    if late and step.undoes is not None and not step.detached:
        unwind.let_wait(book, str(error))
    _try_again(book, error)


def _try_again(book: Book, error: exception.MinovaException) -> None:
    step = book.step
    pause = min(_FIRST_PAUSE * 2**step.attempts, _LONGEST_PAUSE)
    step.state = records.OWED
    step.incarnation = None
    step.attempts += 1
    waiting.for_success(book, error, pause)


# -- what all of them need ---------------------------------------------------


def _held(
    connection: sa.Connection, step_id: str, incarnation: str
) -> operations.Loaded:
    loaded = books.load(connection, step_id)
    _require_held(loaded, incarnation)
    return loaded


def _require_held(loaded: operations.Loaded, incarnation: str) -> None:
    step = loaded.step
    if step.state != records.RUNNING or step.incarnation != incarnation:
        raise _gone(step)
    _require_live(loaded)


def _require_live(loaded: operations.Loaded) -> None:
    """Raise Stale unless the operation is the one that may change things."""
    step, operation = loaded.step, loaded.operation
    if step.state not in records.OPEN or operation.state != records.RUNNING:
        raise _gone(step)
    if operation.owns and loaded.instance.task_id != operation.id:
        raise books.stale(operation)


def _gone(step: records.Step) -> exception.Stale:
    return exception.Stale(what=f'Step {step.method}', holder=step.host)


def _work(loaded: operations.Loaded) -> HostStep:
    work = flows.step_of(loaded.operation.kind, loaded.step.method)
    assert isinstance(work, HostStep)
    return work


def _book(connection: sa.Connection, loaded: operations.Loaded) -> Book:
    publisher = events.publisher('compute', str(loaded.step.host))
    return Book.of(connection, loaded, publisher)


def _nested(book: Book, work: HostStep) -> dict[str, str]:
    if not work.calls:
        return {}
    steps = book.owed or book.steps()
    return {step.method: step.id for step in steps if step.nested}


def _ticket(
    book: Book,
    verdict: str,
    first: list[str] | None = None,
    resumed: bool = False,
) -> Ticket:
    step, operation = book.step, book.operation
    work = flows.step_of(operation.kind, step.method)
    assert isinstance(work, HostStep)
    moves = flows.STORIES[operation.kind].moves
    return Ticket(
        step=step.id,
        method=step.method,
        verdict=verdict,
        first=first or [],
        result=step.result,
        error=step.error,
        nested=_nested(book, work) if verdict == 'run' else {},
        resumed=resumed,
        saved=step.saved,
        args=step.args,
        kind=operation.kind,
        operation=operation.id,
        generation=operation.generation,
        asker=operation.context,
        params=operation.params,
        origin=operation.origin,
        seconds_left=(operation.deadline - book.now).total_seconds(),
        instance=book.instance,
        migration=book.find_migration() if moves else None,
    )
