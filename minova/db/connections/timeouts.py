# SPDX-License-Identifier: Apache-2.0
"""Timeouts of database connections, on the client and on the server.

A stopped server, or one behind a cut network link, accepts connections and
never answers; drivers wait for minutes or for ever by default. Each
connection therefore has a client timeout for every answer. The server's own
timeouts for statements and locks are shorter: an expired one ends the
statement with an error and keeps the connection usable.
"""

from collections.abc import Callable
from collections.abc import Generator
import functools
import math
from typing import Any
from typing import cast

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from minova import clock

#: The keyword arguments of a driver's ``connect``.
_Parameters = dict[str, object]
#: Sets the parameters of a connect, or connects by itself.
_SetClientTimeout = Callable[
    [float, list[str], _Parameters], DBAPIConnection | None
]
#: Prepares a new connection.
_SetServerTimeout = Callable[[float, DBAPIConnection], None]

#: The server's timeouts, as shares of the client's: of a statement, of a lock.
STATEMENT_SHARE = 0.9
_LOCK_SHARE = 0.5
#: The server's timeout of an idle transaction, as a multiple of the client's:
#: its client is frozen while other transactions wait for its locks.
_IDLE_FACTOR = 2


def install(engine: sa.Engine, seconds: float) -> None:
    """Set a timeout in seconds for each connection of ``engine``."""
    driver = f'{engine.dialect.name}+{engine.dialect.driver}'
    set_client_timeout, set_server_timeout = _DRIVERS.get(driver, (None, None))
    if set_client_timeout is not None:

        def do_connect(
            dialect: sa.Dialect,
            record: ConnectionPoolEntry,
            cargs: list[str],
            cparams: _Parameters,
        ) -> DBAPIConnection | None:
            return set_client_timeout(seconds, cargs, cparams)

        event.listen(engine, 'do_connect', do_connect)
    if set_server_timeout is not None:

        def connected(
            connection: DBAPIConnection, record: ConnectionPoolEntry
        ) -> None:
            set_server_timeout(seconds, connection)

        event.listen(engine, 'connect', connected)


# -- SQLite ------------------------------------------------------------------


def _limit_sqlite(
    seconds: float, cargs: list[str], cparams: _Parameters
) -> None:
    # The wait for a lock; there is no server to wait for.
    cparams.setdefault('timeout', seconds)


# -- MariaDB, MySQL ----------------------------------------------------------


def _limit_mysql(
    rounded: Callable[[float], float],
    seconds: float,
    cargs: list[str],
    cparams: _Parameters,
) -> None:
    # Parameters of the URL take precedence.
    for name in ('connect_timeout', 'read_timeout', 'write_timeout'):
        cparams.setdefault(name, rounded(seconds))


def _prepare_mysql(seconds: float, connection: DBAPIConnection) -> None:
    cursor = connection.cursor()
    lock = max(1, int(seconds * _LOCK_SHARE))
    cursor.execute(f'SET SESSION innodb_lock_wait_timeout = {lock}')
    if 'MariaDB' in connection.get_server_info():
        statement = seconds * STATEMENT_SHARE
        idle = math.ceil(seconds * _IDLE_FACTOR)
        cursor.execute(
            f'SET SESSION max_statement_time = {statement:.3f}, '
            f'idle_transaction_timeout = {idle}'
        )
    else:
        # In milliseconds; MySQL applies it to SELECT only.
        cursor.execute(
            'SET SESSION max_execution_time = '
            f'{round(seconds * STATEMENT_SHARE * 1000)}'
        )
    cursor.close()


# -- PostgreSQL --------------------------------------------------------------


def _limit_psycopg(
    seconds: float, cargs: list[str], cparams: _Parameters
) -> DBAPIConnection:
    # psycopg counts whole seconds and raises one to two.
    cparams.setdefault('connect_timeout', math.ceil(seconds))
    return _psycopg_connector()(seconds, *cargs, **cparams)


def _prepare_postgresql(seconds: float, connection: DBAPIConnection) -> None:
    cursor = connection.cursor()
    for name, part in (
        ('statement_timeout', STATEMENT_SHARE),
        ('lock_timeout', _LOCK_SHARE),
        ('idle_in_transaction_session_timeout', _IDLE_FACTOR),
    ):
        # In milliseconds.
        cursor.execute(f'SET {name} = {round(seconds * part * 1000)}')
    connection.commit()
    cursor.close()


@functools.cache
def _psycopg_connector() -> Callable[..., DBAPIConnection]:
    """Return the connect function of psycopg connections with a timeout.

    libpq has no timeout for an answer, and the timeouts of TCP do not help:
    the kernel of a stopped server continues to acknowledge packets.
    """
    import psycopg

    class TimeoutConnection(psycopg.Connection[Any]):
        """A connection with a timeout for each answer."""

        _timeout = math.inf

        @classmethod
        def connect_with_timeout(
            cls, seconds: float, *args: str, **options: Any
        ) -> DBAPIConnection:
            """Connect, as ``connect`` does."""
            connection = cls.connect(*args, **options)
            assert isinstance(connection, TimeoutConnection)
            connection._timeout = seconds
            return cast(DBAPIConnection, connection)

        def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
            """Run an exchange with the server."""
            return super().wait(self._enforce_timeout(gen), *args, **options)

        def _enforce_timeout(self, gen: Any) -> Generator[Any, Any, Any]:
            """Run ``gen`` until it ends or the timeout expires.

            psycopg resumes the generator several times a second.
            """
            until = clock.monotonic() + self._timeout
            try:
                state = next(gen)
                while True:
                    ready = yield state
                    if not ready and clock.monotonic() >= until:
                        self.close()
                        raise psycopg.OperationalError(
                            f'no answer in {self._timeout} s'
                        )
                    state = gen.send(ready)
            except StopIteration as ended:
                return ended.value

    return TimeoutConnection.connect_with_timeout


_MYSQLDB = functools.partial(_limit_mysql, math.ceil)
_PYMYSQL = functools.partial(_limit_mysql, float)
#: How to set the timeouts of the client and of the server, by driver.
_DRIVERS: dict[
    str, tuple[_SetClientTimeout | None, _SetServerTimeout | None]
] = {
    'sqlite+pysqlite': (_limit_sqlite, None),
    'mysql+pymysql': (_PYMYSQL, _prepare_mysql),
    'mysql+mysqldb': (_MYSQLDB, _prepare_mysql),
    'mariadb+pymysql': (_PYMYSQL, _prepare_mysql),
    'mariadb+mysqldb': (_MYSQLDB, _prepare_mysql),
    'postgresql+psycopg': (_limit_psycopg, _prepare_postgresql),
}
