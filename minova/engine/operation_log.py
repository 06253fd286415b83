# SPDX-License-Identifier: Apache-2.0
"""The journal: what is decided about an operation, a line each, in the log.

Only what is not the plain course of things is told, so that the lines of one
operation are the story of its recovery. A line is logged when the transaction
that decided it is committed, and not at all when it is not. An operation to
which nothing of the kind has happened is silent, to its end.
"""

import functools

from oslo_log import log as logging
import sqlalchemy as sa

from minova.db.connections import engine
from minova.objects import operation as records

LOG = logging.getLogger(__name__)

INFO = logging.INFO
WARNING = logging.WARNING


def describe(operation: records.Operation) -> str:
    """Return how every line about an operation begins."""
    return f'{operation.kind} {operation.id} of {operation.instance_uuid}'


def describe_step(step: records.Step) -> str:
    """Return the name of a step with where it is run."""
    return f'{step.method} on {step.host or "a conductor"}'


def log(
    connection: sa.Connection,
    operation: records.Operation,
    text: str,
    level: int = INFO,
) -> None:
    """Tell something that makes an operation's course an eventful one.

    ``text`` goes on where the operation's name ends.
    """
    operation.incidents += 1
    _log_after_commit(connection, level, f'{describe(operation)}{text}')


def log_end(connection: sa.Connection, operation: records.Operation) -> None:
    """Tell how an operation has ended, if anything was told of it before."""
    level = INFO if operation.incidents else logging.DEBUG
    _log_after_commit(
        connection, level, f'{describe(operation)} ended: {operation.state}'
    )


def _log_after_commit(
    connection: sa.Connection, level: int, line: str
) -> None:
    engine.after_commit(connection, functools.partial(_write, level, line))


def _write(level: int, line: str) -> None:
    LOG.log(level, '%s', line)
