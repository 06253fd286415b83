# SPDX-License-Identifier: Apache-2.0
"""What an operator reads about an operation in the log.

At INFO or above an operation has one line when it begins, one when it ends
and one for each retry and each recovery decision between the two. A line is
logged when the transaction that made the decision is committed, and not at
all when it is rolled back.
"""

import functools

from oslo_log import log as logging
import sqlalchemy as sa

from minova.db.connections import engine
from minova.exception import serialization
from minova.objects import operation as records

LOG = logging.getLogger(__name__)

INFO = logging.INFO
WARNING = logging.WARNING


def describe(operation: records.Operation) -> str:
    """Return how every line about an operation begins."""
    return (
        f'Operation {operation.id} {operation.kind} '
        f'instance={operation.instance_uuid}'
    )


def describe_step(step: records.Step) -> str:
    """Return the method of a step and the service that runs it."""
    return f'{step.method} on {step.host or "a conductor"}'


def log_begin(connection: sa.Connection, operation: records.Operation) -> None:
    """Log that an operation begins."""
    _log_after_commit(
        connection,
        operation,
        f'begins: request={operation.request_id or "-"} '
        f'deadline={operation.deadline:%Y-%m-%dT%H:%M:%SZ}',
        INFO,
    )


def log(
    connection: sa.Connection,
    operation: records.Operation,
    event: str,
    level: int = INFO,
) -> None:
    """Log a retry or a recovery decision and count it as an incident."""
    operation.incidents += 1
    _log_after_commit(connection, operation, event, level)


def log_end(connection: sa.Connection, operation: records.Operation) -> None:
    """Log that an operation ends: the outcome, the duration, the error."""
    assert operation.finished_at is not None
    duration = operation.finished_at - operation.started_at
    text = (
        f'ends: outcome={operation.state} '
        f'duration={duration.total_seconds():.3f}s'
    )
    if operation.error is not None:
        text += f' error: {serialization.decode(operation.error)}'
    _log_after_commit(connection, operation, text, INFO)


def _log_after_commit(
    connection: sa.Connection,
    operation: records.Operation,
    event: str,
    level: int,
) -> None:
    line = f'{describe(operation)}: {event}'
    engine.after_commit(connection, functools.partial(_write, level, line))


def _write(level: int, line: str) -> None:
    LOG.log(level, '%s', line)
