# SPDX-License-Identifier: Apache-2.0
"""Decisions: the steps of the conductor, one transaction each.

Any replica may run any of them, two at once too: the one that comes second
finds the step ended, changes nothing, and wakes whoever the first one may have
died before it woke.
"""

from typing import Any

import sqlalchemy as sa

from minova import exception
from minova import flows
from minova.db import operations
from minova.db.engine import Database
from minova.exception import written
from minova.flows.chain import Decision
from minova.flows.chain import Desk
from minova.notifications import events
from minova.objects import operation as records
from minova.objects.step import Wake
from minova.operations import book as books
from minova.operations import unwind
from minova.operations.book import Book


def decide(
    database: Database, step_id: str, desk: Desk, host: str
) -> list[Wake]:
    """Run a decision; return whom the conductor is to wake.

    When nothing fits, the operation is taken back and the reason raised; it
    is raised again to whoever asks again.
    """
    try:
        outcome = database.write(
            lambda connection: _write(connection, step_id, desk, None, host)
        )
        if isinstance(outcome, Book):
            # Hosts must be asked first, which no transaction waits for.
            advice = _decision(outcome.operation, outcome.step).consults(
                desk,
                outcome.step,
                outcome.operation.params,
                outcome.instance,
            )
            outcome = database.write(
                lambda connection: _write(
                    connection, step_id, desk, advice, host
                )
            )
        assert not isinstance(outcome, Book)
        return outcome
    except (exception.Stale, exception.Unavailable):
        # Taken over, or to be tried again by whoever finds it owed.
        raise
    except exception.MinovaException as error:
        reason = error
        database.write(
            lambda connection: _write_failure(
                connection, step_id, reason, host
            )
        )
        raise


def _write(
    connection: sa.Connection,
    step_id: str,
    desk: Desk,
    advice: dict[str, Any] | None,
    host: str,
) -> list[Wake] | Book:
    """Decide; return the book as it was read when advice is missing."""
    loaded = books.load(connection, step_id)
    book = _open(connection, loaded, host)
    if book is None:
        return books.open_wakes(connection, loaded.operation)
    step = book.step
    decision = _decision(book.operation, step)
    if decision.needs_advice and advice is None:
        return book
    step.started_at = book.now
    step.result = decision.decides(book, desk, advice or {})
    book.end_step(records.DONE)
    return book.flush()


def _write_failure(
    connection: sa.Connection,
    step_id: str,
    error: exception.MinovaException,
    host: str,
) -> list[Wake]:
    book = _open(connection, books.load(connection, step_id), host)
    if book is None:
        return []
    book.step.started_at = book.now
    book.step.error = written.encode(error)
    book.end_step(records.FAILED)
    unwind.start(book, error, f'{book.step.method} failed: {error}')
    return book.flush()


def _open(
    connection: sa.Connection, loaded: operations.Loaded, host: str
) -> Book | None:
    """Open the book, or return None when there is nothing to decide.

    Raises the error of a decision that was made and failed.
    """
    if loaded.step.state != records.OWED:
        if loaded.step.error is not None:
            raise written.decode(loaded.step.error)
        return None
    operation = loaded.operation
    if operation.state != records.RUNNING:
        return None
    if operation.owns and loaded.instance.task_id != operation.id:
        return None
    return Book.of(connection, loaded, events.publisher('conductor', host))


def _decision(operation: records.Operation, step: records.Step) -> Decision:
    found = flows.step_of(operation.kind, step.method)
    assert isinstance(found, Decision)
    return found
