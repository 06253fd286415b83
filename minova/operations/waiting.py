# SPDX-License-Identifier: Apache-2.0
"""Waiting: for what an operation waits, since when, and until when.

One wait is noted with an operation at a time: that of the first of its open
steps to wait. It lasts until this step is taken or ends; then another step,
if one waits too, has its own noted. The text begins with what is waited for:
as long as this is the same, it is the same waiting, whatever is said behind.
"""

import datetime
from typing import TYPE_CHECKING

from minova import exception
from minova.objects import operation as records
from minova.operations import journal

if TYPE_CHECKING:
    from minova.operations.book import Book


def _return_of(step: records.Step) -> str:
    return f'host {step.host} to return for {step.method}'


def _success_of(step: records.Step) -> str:
    return f'{journal.place(step)} to succeed'


def _end_of(step: records.Step) -> str:
    return f'{journal.place(step)} to end'


def for_host(book: 'Book', why: str) -> None:
    """Note that the open step waits for its host, which is down."""
    _note(book, _return_of(book.step), f' ({why})')


def for_success(
    book: 'Book', error: exception.MinovaException, pause: float
) -> None:
    """Note that the open step failed and is tried again after a pause."""
    step = book.step
    step.not_before = book.now + datetime.timedelta(seconds=pause)
    more = f'; attempt {step.attempts} failed: {error}'
    soon = f'; the next one is in {pause:.0f} s'
    if not _note(book, _success_of(step), more, soon):
        journal.tell(
            book.connection,
            book.operation,
            f': {journal.place(step)} is tried again{more}{soon}',
            journal.WARNING,
        )


def for_end(book: 'Book') -> None:
    """Note that the open step goes on though the deadline has passed."""
    _note(book, _end_of(book.step), ', though the deadline has passed')


def _note(book: 'Book', what: str, more: str, told: str = '') -> bool:
    """Note and tell a wait; False when another step's is noted."""
    operation = book.operation
    known = operation.waits_for
    if known is not None and not is_of(book.step, known):
        return False
    if known == what + more:
        return True
    if known is None or not known.startswith(what):
        operation.waits_since = book.now
    operation.waits_for = what + more
    journal.tell(
        book.connection,
        operation,
        f' waits for {what}{more}{told}',
        journal.WARNING,
    )
    return True


def is_of(step: records.Step, text: str) -> bool:
    """Tell whether ``text`` is what is noted while this step waits."""
    mine = (_return_of(step), _success_of(step), _end_of(step))
    return text.startswith(mine)


def taken(book: 'Book', again: bool) -> None:
    """The open step is taken by its host: end the wait for the host.

    ``again`` says that an earlier start of the host's compute had it. What is
    tried again after an error waits on: it has not succeeded yet.
    """
    operation, step = book.operation, book.step
    waited = (operation.waits_for or '').startswith(_return_of(step))
    if waited:
        over(operation, step)
    text = f'is taken by host {step.host}, which was waited for'
    if again:
        text = f'is taken up again by the new start of host {step.host}'
    if waited or again:
        journal.tell(book.connection, operation, f': {step.method} {text}')


def host_is_back(book: 'Book') -> None:
    """End the wait for a host that was never gone, only not heard of."""
    operation, step = book.operation, book.step
    if (operation.waits_for or '').startswith(_return_of(step)):
        over(operation, step)
        journal.tell(
            book.connection,
            operation,
            f': {step.method} goes on: host {step.host} is heard of again',
        )


def over(operation: records.Operation, step: records.Step) -> None:
    """End whatever the operation waits for on behalf of ``step``."""
    if operation.waits_for is not None and is_of(step, operation.waits_for):
        operation.waits_for = None
        operation.waits_since = None
