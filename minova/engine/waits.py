# SPDX-License-Identifier: Apache-2.0
"""The waits of an operation: recorded, logged and ended.

An operation records one wait at a time: that of the first of its open steps
to wait. The record lasts until this step starts or ends; then the wait of
another step may take its place.
"""

import datetime

from minova import exception
from minova.engine import operation_log
from minova.engine import wait_reason
from minova.engine.unit_of_work import UnitOfWork


def wait_for_host(uow: UnitOfWork, why: str) -> None:
    """Record that the open step waits for its host, which is down."""
    _record(uow, wait_reason.host_return(uow.step), f' ({why})')


def wait_for_retry(
    uow: UnitOfWork, error: exception.MinovaException, delay: float
) -> None:
    """Record that the open step failed and is retried in ``delay`` seconds."""
    step = uow.step
    step.not_before = uow.now + datetime.timedelta(seconds=delay)
    failure = f'attempt {step.attempts} failed: {error}'
    _record(uow, wait_reason.retry(step), f'; {failure}', is_logged=False)
    operation_log.log(
        uow.connection,
        uow.operation,
        f'retries {operation_log.describe_step(step)} in {delay:.0f} s: '
        f'{failure}',
        operation_log.WARNING,
    )


def wait_for_end(uow: UnitOfWork) -> None:
    """Record that the open step still runs past the deadline."""
    _record(
        uow, wait_reason.end(uow.step), ', although the deadline has passed'
    )


def _record(
    uow: UnitOfWork, what: str, detail: str, is_logged: bool = True
) -> None:
    """Record a wait, unless another step's is recorded."""
    operation = uow.operation
    known = operation.wait_reason
    if known == what + detail:
        return
    if known is not None and not wait_reason.belongs_to(uow.step, known):
        return
    if known is None or not known.startswith(what):
        operation.waiting_since = uow.now
    operation.wait_reason = what + detail
    if is_logged:
        operation_log.log(
            uow.connection,
            operation,
            f'waits for {what}{detail}',
            operation_log.WARNING,
        )


def clear_on_start(uow: UnitOfWork, is_retaken: bool) -> None:
    """End the wait for the host: the host starts the open step.

    ``is_retaken`` says that an earlier start of the host's compute ran it. A
    wait for a retry goes on: the step has not succeeded yet.
    """
    operation, step = uow.operation, uow.step
    waited = (operation.wait_reason or '').startswith(
        wait_reason.host_return(step)
    )
    if waited:
        wait_reason.clear(operation, step)
    if is_retaken:
        event = f'resumes {step.method}: host {step.host} has restarted'
    else:
        event = f'starts {step.method}: host {step.host} has returned'
    if waited or is_retaken:
        operation_log.log(uow.connection, operation, event)


def clear_on_host_return(uow: UnitOfWork) -> None:
    """End the wait for a host that ran the step all the time."""
    operation, step = uow.operation, uow.step
    if (operation.wait_reason or '').startswith(wait_reason.host_return(step)):
        wait_reason.clear(operation, step)
        operation_log.log(
            uow.connection,
            operation,
            f'continues {step.method}: host {step.host} sends heartbeats '
            'again',
        )
