# SPDX-License-Identifier: Apache-2.0
"""Writers of one SQLite database within this process: none of them starves.

SQLite has one writer at a time and no queue: a writer that finds the lock
taken sleeps and tries again, up to 100 ms later
(https://www.sqlite.org/c3ref/busy_timeout.html), while later writers may come
first. Under load some transactions would wait for seconds.

A writer that has waited for ``PATIENCE`` seconds therefore closes a gate for
those that come later, until it has the lock. Ordinary writers sleep inside of
SQLite, without the interpreter's lock: a queue of threads would cost a switch
of threads for each transaction.
"""

import sqlite3
from typing import Final

import sqlalchemy as sa

from minova import clock
from minova.db.connections import error_classes

#: Seconds after which a writer closes the gate.
PATIENCE: Final = 0.1
#: Seconds after which a writer without a timeout gives up.
_DEFAULT_TIMEOUT: Final = 5.0


class Writers:
    """The writers of one database file."""

    def __init__(self) -> None:
        self._gate = clock.lock()

    def begin(
        self, connection: sa.Connection, timeout: float | None = None
    ) -> None:
        """Begin a transaction that writes, within ``timeout`` seconds.

        Raises an error of the class RETRY when others hold the lock longer.
        """
        timeout = _DEFAULT_TIMEOUT if timeout is None else timeout
        until = clock.monotonic() + timeout
        if self._gate.acquire(timeout=timeout):
            self._gate.release()
        try:
            connection.exec_driver_sql('BEGIN IMMEDIATE')
        except error_classes.DATABASE_ERRORS as error:
            found = error_classes.classify(error)
            remaining = until - clock.monotonic()
            if (
                found is None
                or found.error_class is not error_classes.ErrorClass.RETRY
                or not self._gate.acquire(timeout=max(0.0, remaining))
            ):
                raise
            try:
                _begin(connection, until - clock.monotonic())
            finally:
                self._gate.release()


def set_patience(connection: sqlite3.Connection) -> None:
    """Limit the waits inside of SQLite to the patience of a writer."""
    connection.execute(_busy_timeout(PATIENCE))


def _begin(connection: sa.Connection, timeout: float) -> None:
    connection.exec_driver_sql(_busy_timeout(timeout))
    try:
        connection.exec_driver_sql('BEGIN IMMEDIATE')
    finally:
        connection.exec_driver_sql(_busy_timeout(PATIENCE))


def _busy_timeout(seconds: float) -> str:
    return f'PRAGMA busy_timeout = {max(0, round(seconds * 1000))}'


_writers: dict[str, Writers] = {}


def of_file(path: str) -> Writers:
    """Return the one object for a database file.

    A database in memory has a single connection, so its writers never wait.
    """
    return _writers.setdefault(path, Writers())
