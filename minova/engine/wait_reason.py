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
from minova.engine import operation_log
from minova.objects import operation as records

if TYPE_CHECKING:
    from minova.engine.unit_of_work import UnitOfWork


def _host_return_text(step: records.Step) -> str:
    return f'host {step.host} to return for {step.method}'


def _retry_text(step: records.Step) -> str:
    return f'{operation_log.describe_step(step)} to succeed'


def _end_text(step: records.Step) -> str:
    return f'{operation_log.describe_step(step)} to end'


def wait_for_host(uow: 'UnitOfWork', why: str) -> None:
    """Note that the open step waits for its host, which is down."""
    _set(uow, _host_return_text(uow.step), f' ({why})')


def wait_for_retry(
    uow: 'UnitOfWork', error: exception.MinovaException, delay: float
) -> None:
    """Note that the open step failed and is tried again after a pause."""
    step = uow.step
    step.not_before = uow.now + datetime.timedelta(seconds=delay)
    more = f'; attempt {step.attempts} failed: {error}'
    soon = f'; the next one is in {delay:.0f} s'
    if not _set(uow, _retry_text(step), more, soon):
        operation_log.log(
            uow.connection,
            uow.operation,
            f': {operation_log.describe_step(step)} is tried again{more}{soon}',
            operation_log.WARNING,
        )


def wait_for_end(uow: 'UnitOfWork') -> None:
    """Note that the open step goes on though the deadline has passed."""
    _set(uow, _end_text(uow.step), ', though the deadline has passed')


def _set(
    uow: 'UnitOfWork', what: str, detail: str, log_suffix: str = ''
) -> bool:
    """Note and tell a wait; False when another step's is noted."""
    operation = uow.operation
    known = operation.wait_reason
    if known is not None and not belongs_to(uow.step, known):
        return False
    if known == what + detail:
        return True
    if known is None or not known.startswith(what):
        operation.waiting_since = uow.now
    operation.wait_reason = what + detail
    operation_log.log(
        uow.connection,
        operation,
        f' waits for {what}{detail}{log_suffix}',
        operation_log.WARNING,
    )
    return True


def belongs_to(step: records.Step, text: str) -> bool:
    """Tell whether ``text`` is what is noted while this step waits."""
    mine = (_host_return_text(step), _retry_text(step), _end_text(step))
    return text.startswith(mine)


def clear_on_start(uow: 'UnitOfWork', is_retaken: bool) -> None:
    """The open step is taken by its host: end the wait for the host.

    ``again`` says that an earlier start of the host's compute had it. What is
    tried again after an error waits on: it has not succeeded yet.
    """
    operation, step = uow.operation, uow.step
    waited = (operation.wait_reason or '').startswith(_host_return_text(step))
    if waited:
        clear(operation, step)
    text = f'is taken by host {step.host}, which was waited for'
    if is_retaken:
        text = f'is taken up again by the new start of host {step.host}'
    if waited or is_retaken:
        operation_log.log(uow.connection, operation, f': {step.method} {text}')


def clear_on_host_return(uow: 'UnitOfWork') -> None:
    """End the wait for a host that was never gone, only not heard of."""
    operation, step = uow.operation, uow.step
    if (operation.wait_reason or '').startswith(_host_return_text(step)):
        clear(operation, step)
        operation_log.log(
            uow.connection,
            operation,
            f': {step.method} goes on: host {step.host} is heard of again',
        )


def clear(operation: records.Operation, step: records.Step) -> None:
    """End whatever the operation waits for on behalf of ``step``."""
    if operation.wait_reason is not None and belongs_to(
        step, operation.wait_reason
    ):
        operation.wait_reason = None
        operation.waiting_since = None
