# SPDX-License-Identifier: Apache-2.0
"""How long is waited for a database that does not answer.

A server that is stopped, or behind a cable that was pulled, accepts
connections and answers nothing; left to themselves the drivers wait for it
for minutes or for ever. So each connection is made with a bound for every
answer, and the server is told to give up a little earlier by itself: what
waits for a lock is then told so, and the connection is good for more.
"""

from collections.abc import Callable
from collections.abc import Generator
import functools
import math
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from minova import clock

#: Parts of the bound after which a server gives up a statement, and a wait
#: for a lock.
_STATEMENT_SHARE = 0.9
_LOCK_SHARE = 0.5
#: How many bounds a transaction may be left alone: who began it is frozen, and
#: others wait for its locks.
_IDLE_FACTOR = 2


def install(engine: sa.Engine, seconds: float) -> None:
    """Let each connection of ``engine`` wait so long for an answer."""
    driver = f'{engine.dialect.name}+{engine.dialect.driver}'
    set_client_timeout, set_server_timeout = _DRIVERS.get(driver, (None, None))
    if set_client_timeout is not None:

        def do_connect(
            dialect: Any, record: Any, cargs: Any, cparams: dict[str, Any]
        ) -> Any:
            return set_client_timeout(seconds, cargs, cparams)

        event.listen(engine, 'do_connect', do_connect)
    if set_server_timeout is not None:

        def connected(connection: Any, record: Any) -> None:
            set_server_timeout(seconds, connection)

        event.listen(engine, 'connect', connected)


# -- SQLite ------------------------------------------------------------------


def _prepare_sqlite(seconds: float, connection: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f'PRAGMA busy_timeout = {round(seconds * 1000)}')
    cursor.close()


# -- MariaDB, MySQL ----------------------------------------------------------


def _limit_mysql(
    rounded: Callable[[float], float],
    seconds: float,
    cargs: Any,
    cparams: dict[str, Any],
) -> None:
    # What the URL says goes first.
    for name in ('connect_timeout', 'read_timeout', 'write_timeout'):
        cparams.setdefault(name, rounded(seconds))


def _prepare_mysql(seconds: float, connection: Any) -> None:
    cursor = connection.cursor()
    lock = max(1, int(seconds * _LOCK_SHARE))
    cursor.execute(f'SET SESSION innodb_lock_wait_timeout = {lock}')
    if 'MariaDB' in connection.get_server_info():
        most, idle = (
            seconds * _STATEMENT_SHARE,
            math.ceil(seconds * _IDLE_FACTOR),
        )
        cursor.execute(
            f'SET SESSION max_statement_time = {most:.3f}, '
            f'idle_transaction_timeout = {idle}'
        )
    else:
        # Milliseconds, and of SELECT only.
        cursor.execute(
            'SET SESSION max_execution_time = '
            f'{round(seconds * _STATEMENT_SHARE * 1000)}'
        )
    cursor.close()


# -- PostgreSQL --------------------------------------------------------------


def _limit_psycopg(seconds: float, cargs: Any, cparams: dict[str, Any]) -> Any:
    # In whole seconds, and never less than two.
    cparams.setdefault('connect_timeout', math.ceil(seconds))
    return _timeout_connection_class().connect_bounded(
        seconds, *cargs, **cparams
    )


def _prepare_postgresql(seconds: float, connection: Any) -> None:
    cursor = connection.cursor()
    for name, part in (
        ('statement_timeout', _STATEMENT_SHARE),
        ('lock_timeout', _LOCK_SHARE),
        ('idle_in_transaction_session_timeout', _IDLE_FACTOR),
    ):
        # In milliseconds.
        cursor.execute(f'SET {name} = {round(seconds * part * 1000)}')
    connection.commit()
    cursor.close()


@functools.cache
def _timeout_connection_class() -> Any:
    """Return the class of connections that wait for so long only.

    libpq has no bound for an answer: TCP's own are of no use, because the
    kernel of a server that is stopped goes on to acknowledge.
    """
    import psycopg

    class TimeoutConnection(psycopg.Connection[Any]):
        """A connection each of whose answers must come in time."""

        _seconds = math.inf

        @classmethod
        def connect_bounded(
            cls, seconds: float, *args: Any, **options: Any
        ) -> Any:
            """Connect, as ``connect``."""
            made = cls.connect(*args, **options)
            made._seconds = seconds
            return made

        def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
            """Drive a conversation with the server."""
            return super().wait(self._in_time(gen), *args, **options)

        def _in_time(self, gen: Any) -> Generator[Any, Any, Any]:
            """Go on with ``gen`` until it ends or the time is up.

            Whoever drives it wakes it several times a second.
            """
            until = clock.monotonic() + self._seconds
            try:
                state = next(gen)
                while True:
                    ready = yield state
                    if not ready and clock.monotonic() >= until:
                        self.close()
                        raise psycopg.OperationalError(
                            f'no answer in {self._seconds} s'
                        )
                    state = gen.send(ready)
            except StopIteration as ended:
                return ended.value

    return TimeoutConnection


_MYSQLDB = functools.partial(_limit_mysql, math.ceil)
_PYMYSQL = functools.partial(_limit_mysql, float)
#: How a driver bounds an answer, and what the server is told.
_DRIVERS: dict[str, tuple[Callable[..., Any] | None, Callable[..., None]]] = {
    'sqlite+pysqlite': (None, _prepare_sqlite),
    'mysql+pymysql': (_PYMYSQL, _prepare_mysql),
    'mysql+mysqldb': (_MYSQLDB, _prepare_mysql),
    'mariadb+pymysql': (_PYMYSQL, _prepare_mysql),
    'mariadb+mysqldb': (_MYSQLDB, _prepare_mysql),
    'postgresql+psycopg': (_limit_psycopg, _prepare_postgresql),
}
