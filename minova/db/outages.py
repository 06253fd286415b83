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
CAUGHT = (db_exception.DBError, sa.exc.SQLAlchemyError)


class Kind(enum.Enum):
    """What it means for the transaction that it ended."""

    #: It was taken back by the server and may be tried again.
    TURN = 'turn'
    #: The server does not take it, or not now.
    AWAY = 'away'
    #: Every connection that we may make is in use.
    FULL = 'full'
    #: The connection is gone; a commit may or may not have been done.
    LOST = 'lost'


@dataclasses.dataclass(frozen=True)
class Outage:
    """An error that is the database's; ``reason`` is one line."""

    kind: Kind
    reason: str


# fmt: off
#: MySQL's and MariaDB's numbers, https://mariadb.com/kb/en/error-codes/.
MYSQL = {
    1021: Kind.AWAY,  # the disk is full
    1040: Kind.AWAY,  # too many connections
    1044: Kind.AWAY,  # no access to the database
    1045: Kind.AWAY,  # no access at all
    1047: Kind.AWAY,  # Galera: this node is not part of the cluster
    1053: Kind.LOST,  # the server shuts down
    1077: Kind.LOST,
    1079: Kind.LOST,
    1114: Kind.AWAY,  # the table is full, as is the disk
    1158: Kind.LOST,  # reading and writing packets
    1159: Kind.LOST,
    1160: Kind.LOST,
    1161: Kind.LOST,
    1180: Kind.LOST,  # an error during COMMIT
    1203: Kind.AWAY,  # too many connections of this user
    1205: Kind.TURN,  # a lock was waited for too long
    1213: Kind.TURN,  # a deadlock
    1226: Kind.AWAY,  # the user has used what it may
    1290: Kind.AWAY,  # read-only, as is a replica
    1317: Kind.LOST,  # KILL QUERY, or the server shuts down
    1792: Kind.AWAY,  # read-only, said of transactions
    1836: Kind.AWAY,  # read-only, said of the server
    1927: Kind.LOST,  # KILL CONNECTION
    1969: Kind.TURN,  # max_statement_time
    2002: Kind.AWAY,  # no connection
    2003: Kind.AWAY,
    2005: Kind.AWAY,
    2006: Kind.LOST,  # gone away
    2013: Kind.LOST,  # lost during a statement
    2055: Kind.LOST,
    3024: Kind.TURN,  # max_execution_time
    4031: Kind.LOST,  # disconnected because of inactivity
}
#: PostgreSQL's, by how they begin; the longest that fits counts.
#: https://www.postgresql.org/docs/current/errcodes-appendix.html
POSTGRESQL = {
    '08':    Kind.LOST,  # connection exceptions
    '25006': Kind.AWAY,  # read-only, as is a replica
    '40001': Kind.TURN,  # two transactions that cannot stand side by side
    '40P01': Kind.TURN,  # a deadlock
    '53':    Kind.AWAY,  # too many connections, the disk is full
    '55P03': Kind.TURN,  # lock_timeout
    '57014': Kind.TURN,  # statement_timeout, or the query was cancelled
    '57P':   Kind.LOST,  # the server shuts down, or ended the connection
    '57P03': Kind.AWAY,  # it starts up
}
# fmt: on


def of(error: BaseException) -> Outage | None:
    """Return what an error tells of the database; None when it is ours."""
    reason = first_line(error)
    if isinstance(error, sa.exc.TimeoutError):
        return Outage(Kind.FULL, 'all of its connections are in use')
    for cause in _causes(error):
        kind = _by_number(cause)
        if kind is not None:
            return Outage(kind, reason)
    if isinstance(error, db_exception.DBDeadlock):
        return Outage(Kind.TURN, reason)
    if 'database is locked' in reason:
        # SQLite had another writer for longer than it waits.
        return Outage(Kind.TURN, reason)
    gone = (db_exception.DBConnectionError, sa.exc.PendingRollbackError)
    if isinstance(error, gone):
        return Outage(Kind.LOST, reason)
    return None


def _by_number(error: BaseException) -> Kind | None:
    # Those of SQLAlchemy, oslo.db and psycopg have a text there. MySQL's have
    # a SQL state too, which says less.
    number = error.args[0] if error.args else None
    if isinstance(number, int):
        return MYSQL.get(number)
    state = getattr(error, 'sqlstate', None) or ''
    fitting = [known for known in POSTGRESQL if state.startswith(known)]
    return POSTGRESQL[max(fitting, key=len)] if fitting else None


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
