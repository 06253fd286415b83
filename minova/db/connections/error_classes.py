# SPDX-License-Identifier: Apache-2.0
"""Which errors mean that the database is away, busy or gone, and which ours.

The libraries tell them in many ways: by driver, by server, by whether it was
found when a connection was made or in the middle of a statement. What counts
is the server's own number of the error, where there is one.
"""

from collections.abc import Iterator
import dataclasses
import enum

from oslo_db import exception as db_exception
import sqlalchemy as sa

#: What a transaction may end with that is of the database.
DATABASE_ERRORS = (db_exception.DBError, sa.exc.SQLAlchemyError)


class ErrorClass(enum.Enum):
    """What it means for the transaction that it ended."""

    #: It was taken back by the server and may be tried again.
    RETRY = 'turn'
    #: The server does not take it, or not now.
    UNAVAILABLE = 'away'
    #: Every connection that we may make is in use.
    POOL_EXHAUSTED = 'full'
    #: The connection is gone; a commit may or may not have been done.
    CONNECTION_LOST = 'lost'


@dataclasses.dataclass(frozen=True)
class ClassifiedError:
    """An error that is the database's; ``reason`` is one line."""

    error_class: ErrorClass
    reason: str


# fmt: off
#: MySQL's and MariaDB's numbers, https://mariadb.com/kb/en/error-codes/.
MYSQL_CODES = {
    1021: ErrorClass.UNAVAILABLE,  # the disk is full
    1040: ErrorClass.UNAVAILABLE,  # too many connections
    1044: ErrorClass.UNAVAILABLE,  # no access to the database
    1045: ErrorClass.UNAVAILABLE,  # no access at all
    1047: ErrorClass.UNAVAILABLE,  # Galera: this node is not part of the cluster
    1053: ErrorClass.CONNECTION_LOST,  # the server shuts down
    1077: ErrorClass.CONNECTION_LOST,
    1079: ErrorClass.CONNECTION_LOST,
    1114: ErrorClass.UNAVAILABLE,  # the table is full, as is the disk
    1158: ErrorClass.CONNECTION_LOST,  # reading and writing packets
    1159: ErrorClass.CONNECTION_LOST,
    1160: ErrorClass.CONNECTION_LOST,
    1161: ErrorClass.CONNECTION_LOST,
    1180: ErrorClass.CONNECTION_LOST,  # an error during COMMIT
    1203: ErrorClass.UNAVAILABLE,  # too many connections of this user
    1205: ErrorClass.RETRY,  # a lock was waited for too long
    1213: ErrorClass.RETRY,  # a deadlock
    1226: ErrorClass.UNAVAILABLE,  # the user has used what it may
    1290: ErrorClass.UNAVAILABLE,  # read-only, as is a replica
    1317: ErrorClass.CONNECTION_LOST,  # KILL QUERY, or the server shuts down
    1792: ErrorClass.UNAVAILABLE,  # read-only, said of transactions
    1836: ErrorClass.UNAVAILABLE,  # read-only, said of the server
    1927: ErrorClass.CONNECTION_LOST,  # KILL CONNECTION
    1969: ErrorClass.RETRY,  # max_statement_time
    2002: ErrorClass.UNAVAILABLE,  # no connection
    2003: ErrorClass.UNAVAILABLE,
    2005: ErrorClass.UNAVAILABLE,
    2006: ErrorClass.CONNECTION_LOST,  # gone away
    2013: ErrorClass.CONNECTION_LOST,  # lost during a statement
    2055: ErrorClass.CONNECTION_LOST,
    3024: ErrorClass.RETRY,  # max_execution_time
    4031: ErrorClass.CONNECTION_LOST,  # disconnected because of inactivity
}
#: PostgreSQL's, by how they begin; the longest that fits counts.
#: https://www.postgresql.org/docs/current/errcodes-appendix.html
POSTGRESQL_CODES = {
    '08':    ErrorClass.CONNECTION_LOST,  # connection exceptions
    '25006': ErrorClass.UNAVAILABLE,  # read-only, as is a replica
    '40001': ErrorClass.RETRY,  # two transactions that cannot stand side by side
    '40P01': ErrorClass.RETRY,  # a deadlock
    '53':    ErrorClass.UNAVAILABLE,  # too many connections, the disk is full
    '55P03': ErrorClass.RETRY,  # lock_timeout
    '57014': ErrorClass.RETRY,  # statement_timeout, or the query was cancelled
    '57P':   ErrorClass.CONNECTION_LOST,  # the server shuts down, or ended the connection
    '57P03': ErrorClass.UNAVAILABLE,  # it starts up
}
# fmt: on


def classify(error: BaseException) -> ClassifiedError | None:
    """Return what an error tells of the database; None when it is ours."""
    reason = first_line(error)
    if isinstance(error, sa.exc.TimeoutError):
        return ClassifiedError(
            ErrorClass.POOL_EXHAUSTED, 'all of its connections are in use'
        )
    for cause in _causes(error):
        kind = _class_by_code(cause)
        if kind is not None:
            return ClassifiedError(kind, reason)
    if isinstance(error, db_exception.DBDeadlock):
        return ClassifiedError(ErrorClass.RETRY, reason)
    if 'database is locked' in reason:
        # SQLite had another writer for longer than it waits.
        return ClassifiedError(ErrorClass.RETRY, reason)
    gone = (db_exception.DBConnectionError, sa.exc.PendingRollbackError)
    if isinstance(error, gone):
        return ClassifiedError(ErrorClass.CONNECTION_LOST, reason)
    return None


def _class_by_code(error: BaseException) -> ErrorClass | None:
    # Those of SQLAlchemy, oslo.db and psycopg have a text there. MySQL's have
    # a SQL state too, which says less.
    number = error.args[0] if error.args else None
    if isinstance(number, int):
        return MYSQL_CODES.get(number)
    state = getattr(error, 'sqlstate', None) or ''
    fitting = [known for known in POSTGRESQL_CODES if state.startswith(known)]
    return POSTGRESQL_CODES[max(fitting, key=len)] if fitting else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Give an error and the driver's own that it wraps."""
    found: object = error
    while isinstance(found, BaseException):
        yield found
        inner = getattr(found, 'inner_exception', None)
        found = getattr(found, 'orig', None) or inner


def first_line(error: BaseException) -> str:
    """Return what an error says first; libraries add the statement."""
    return (str(error).splitlines() or [type(error).__name__])[0]
