# SPDX-License-Identifier: Apache-2.0
"""Undoing: a failed operation is taken back, the newest step first.

What a host did is taken back by a step that the host owes, so that undoing
survives crashes like doing does; what a conductor did, at once.
"""

from minova import exception
from minova import flows
from minova.exception import written
from minova.flows.chain import HostStep
from minova.objects import operation as records
from minova.operations import journal
from minova.operations.book import Book


def start(
    book: Book, error: exception.MinovaException, because: str | None = None
) -> None:
    """Begin to take the operation back; the journal is told ``because``."""
    operation = book.operation
    _tell(book, f' is taken back: {because or error}')
    operation.error = written.encode(error)
    operation.unwinding = True
    _fence_open_steps(book)
    proceed(book)


def proceed(book: Book) -> None:
    """Take back the newest step that is left; go on if that is quick."""
    for step in reversed(book.steps()):
        takes_back = step.undoes is not None or step.detached
        if takes_back or step.state not in (records.DONE, records.FAILED):
            continue
        work = flows.step_of(book.operation.kind, step.method)
        if isinstance(work, HostStep) and work.undo is not None:
            book.owe(work.undo, host=step.host, undoes=step.id, **step.args)
            return
        _mark_undone(book, step)
    assert book.operation.error is not None
    error = written.decode(book.operation.error)
    flows.STORIES[book.operation.kind].unwound(book, error)


def undone(book: Book, step_id: str) -> None:
    """Note that a step was taken back by its host; go on with the next."""
    _mark_undone(book, _find(book, step_id))
    proceed(book)


def let_wait(book: Book, why: str) -> None:
    """Go on without an undoing step that is not done, and ``why`` it is not.

    The step stays owed; what it removes harms nothing meanwhile.
    """
    assert book.step.undoes is not None
    _tell(book, f' goes on without {journal.place(book.step)}: {why}')
    book.step.detached = True
    undone(book, book.step.undoes)


def abandon(book: Book, error: exception.MinovaException) -> None:
    """Fail although a host cannot be asked; it cleans up when it returns."""
    operation, step = book.operation, book.step
    operation.error = written.encode(error)
    work = flows.step_of(operation.kind, step.method)
    assert isinstance(work, HostStep)
    _tell(book, f' is not waited for any more: {error}')
    work.fails(book, error)
    book.end_step(records.FAILED)
    if work.undo is not None:
        book.owe(
            work.undo,
            host=step.host,
            undoes=step.id,
            detached=True,
            **step.args,
        )
    book.fail(error, lost=True)


def give_up(book: Book, error: exception.MinovaException) -> None:
    """End an operation that can go neither forward nor back."""
    _tell(book, f' gives up: {error}')
    if book.operation.owns and book.find_migration() is not None:
        book.record_move(status='error')
    book.fail(error, lost=book.operation.owns)


def _tell(book: Book, text: str) -> None:
    journal.tell(book.connection, book.operation, text, journal.WARNING)


def _fence_open_steps(book: Book) -> None:
    """End what still runs, so that nothing it saves is written any more."""
    for step in book.steps():
        mine = step.id == book.step.id
        if mine or step.detached or step.state not in records.OPEN:
            continue
        begun = step.started_at is not None
        book.end_other(step, records.FAILED if begun else records.PREEMPTED)


def _mark_undone(book: Book, step: records.Step) -> None:
    flows.step_of(book.operation.kind, step.method).undone(book, step)
    book.mark(step, records.UNDONE)


def _find(book: Book, step_id: str) -> records.Step:
    (found,) = [step for step in book.steps() if step.id == step_id]
    return found
