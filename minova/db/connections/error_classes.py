# SPDX-License-Identifier: Apache-2.0
"""The classes of database errors: retry, unavailable, connection lost.

Libraries report one error in many ways, by driver, by server and by whether a
connect or a statement failed. The server's own error code decides, where
there is one.
"""

from collections.abc import Iterator
import dataclasses
import enum
import sqlite3

from oslo_db import exception as db_exception
import sqlalchemy as sa

#: The exceptions by which a transaction reports a database error.
DATABASE_ERRORS = (db_exception.DBError, sa.exc.SQLAlchemyError)


class ErrorClass(enum.Enum):
    """What an error means for the transaction."""

    #: The server rolled it back; it may be retried.
    RETRY = 'retry'
    #: The server refuses the connection or the statement.
    UNAVAILABLE = 'unavailable'
    #: Every connection of the pool is in use.
    POOL_EXHAUSTED = 'pool_exhausted'
    #: The connection is lost; the outcome of a commit is unknown.
    CONNECTION_LOST = 'connection_lost'


@dataclasses.dataclass(frozen=True)
class ClassifiedError:
    """A database error; ``reason`` is one line."""

    error_class: ErrorClass
    reason: str


# fmt: off
#: The codes of MySQL and MariaDB, https://mariadb.com/kb/en/error-codes/.
MYSQL_CODES = {
    1021: ErrorClass.UNAVAILABLE,  # the disk is full
    1040: ErrorClass.UNAVAILABLE,  # too many connections
    1044: ErrorClass.UNAVAILABLE,  # no access to the database
    1045: ErrorClass.UNAVAILABLE,  # no access at all
    1047: ErrorClass.UNAVAILABLE,  # Galera: node is not in the cluster
    1053: ErrorClass.CONNECTION_LOST,  # the server shuts down
    1077: ErrorClass.CONNECTION_LOST,
    1079: ErrorClass.CONNECTION_LOST,
    1114: ErrorClass.UNAVAILABLE,  # table full (disk full)
    1158: ErrorClass.CONNECTION_LOST,  # reading and writing packets
    1159: ErrorClass.CONNECTION_LOST,
    1160: ErrorClass.CONNECTION_LOST,
    1161: ErrorClass.CONNECTION_LOST,
    1180: ErrorClass.CONNECTION_LOST,  # an error during COMMIT
    1203: ErrorClass.UNAVAILABLE,  # too many connections of this user
    1205: ErrorClass.RETRY,  # lock wait timeout
    1213: ErrorClass.RETRY,  # deadlock
    1226: ErrorClass.UNAVAILABLE,  # resource limit of the user
    1290: ErrorClass.UNAVAILABLE,  # read-only, such as a replica
    1317: ErrorClass.CONNECTION_LOST,  # KILL QUERY, or the server shuts down
    1792: ErrorClass.UNAVAILABLE,  # read-only transaction
    1836: ErrorClass.UNAVAILABLE,  # read-only server
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
#: The codes of PostgreSQL, by prefix; the longest prefix that matches counts.
#: https://www.postgresql.org/docs/current/errcodes-appendix.html
POSTGRESQL_CODES = {
    '08':    ErrorClass.CONNECTION_LOST,  # connection exceptions
    '25006': ErrorClass.UNAVAILABLE,  # read-only, such as a replica
    '40001': ErrorClass.RETRY,  # serialization failure
    '40P01': ErrorClass.RETRY,  # deadlock
    '53':    ErrorClass.UNAVAILABLE,  # too many connections, disk full
    '55P03': ErrorClass.RETRY,  # lock_timeout
    '57014': ErrorClass.RETRY,  # statement_timeout or query cancelled
    '57P':   ErrorClass.CONNECTION_LOST,  # shutdown, connection ended
    '57P03': ErrorClass.UNAVAILABLE,  # server is starting
}
# fmt: on

#: The primary result codes of SQLite, https://www.sqlite.org/rescode.html.
SQLITE_CODES = {
    sqlite3.SQLITE_BUSY: ErrorClass.RETRY,  # another writer has the lock
    sqlite3.SQLITE_READONLY: ErrorClass.UNAVAILABLE,
    sqlite3.SQLITE_IOERR: ErrorClass.UNAVAILABLE,
    sqlite3.SQLITE_FULL: ErrorClass.UNAVAILABLE,  # the disk is full
    sqlite3.SQLITE_CANTOPEN: ErrorClass.UNAVAILABLE,
}
#: The primary code of an extended one.
_SQLITE_PRIMARY = 0xFF


def classify(error: BaseException) -> ClassifiedError | None:
    """Classify an error of a transaction; None for a programming error."""
    reason = first_line(error)
    if isinstance(error, sa.exc.TimeoutError):
        return ClassifiedError(
            ErrorClass.POOL_EXHAUSTED,
            'all connections of the pool are in use; raise [database] '
            'max_pool_size or max_overflow',
        )
    for cause in _causes(error):
        kind = _class_by_code(cause)
        if kind is not None:
            return ClassifiedError(kind, reason)
    if isinstance(error, db_exception.DBDeadlock):
        return ClassifiedError(ErrorClass.RETRY, reason)
    lost = (db_exception.DBConnectionError, sa.exc.PendingRollbackError)
    if isinstance(error, lost):
        return ClassifiedError(ErrorClass.CONNECTION_LOST, reason)
    return None


#: The codes of a statement that took longer than its limit.
_STATEMENT_TIMEOUTS = frozenset({1969, 3024, '57014'})


def is_statement_timeout(error: BaseException) -> bool:
    """Return whether the server ended a statement at its time limit."""
    return any(
        code in _STATEMENT_TIMEOUTS
        for cause in _causes(error)
        for code in (*cause.args[:1], getattr(cause, 'sqlstate', None))
        if isinstance(code, int | str)
    )


def _class_by_code(error: BaseException) -> ErrorClass | None:
    # SQLAlchemy, oslo.db and psycopg have a text there. MySQL's errors have a
    # SQL state too, which is less precise than the number.
    number = error.args[0] if error.args else None
    if isinstance(number, int):
        return MYSQL_CODES.get(number)
    if isinstance(error, sqlite3.Error):
        # An error of the module itself has no code.
        code = getattr(error, 'sqlite_errorcode', 0)
        return SQLITE_CODES.get(code & _SQLITE_PRIMARY)
    state = getattr(error, 'sqlstate', None) or ''
    fitting = [known for known in POSTGRESQL_CODES if state.startswith(known)]
    return POSTGRESQL_CODES[max(fitting, key=len)] if fitting else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and the driver errors that it wraps."""
    found: object = error
    while isinstance(found, BaseException):
        yield found
        inner = getattr(found, 'inner_exception', None)
        found = getattr(found, 'orig', None) or inner


def first_line(error: BaseException) -> str:
    """Return the first line of an error; the statement follows it."""
    return (str(error).splitlines() or [type(error).__name__])[0]
