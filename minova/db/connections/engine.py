# SPDX-License-Identifier: Apache-2.0
"""Transactions: the Database object and its connection pool.

``write`` and ``read`` take a function of an open connection and run it in a
transaction of its own, and retry it after a deadlock or a lost connection:
the function must have no effect outside the connection. The isolation level
is READ COMMITTED; a transaction that changes an instance locks its row first.

A database that cannot be reached, cannot serve or does not answer within the
timeout raises Unavailable; ``error_classes`` maps the errors of the libraries.
A commit is never retried: its outcome is unknown when the answer is lost, and
a request must not take effect twice.

A connection returns to the pool after COMMIT or ROLLBACK. The pool neither
pings a connection before a transaction nor resets it afterwards, which saves
two round trips; the first statement detects a lost connection and the
transaction is retried on another one.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import sqlite3
from typing import TypeVar

from oslo_config import cfg
from oslo_db import exception as db_exception
from oslo_db import options as db_options
from oslo_db.sqlalchemy import enginefacade
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import plugins
from sqlalchemy.engine.interfaces import DBAPIConnection

from minova import clock
from minova import exception
from minova.conf import libraries
from minova.db.connections import clock_offset
from minova.db.connections import error_classes
from minova.db.connections import sqlite_writers
from minova.db.connections import statement_limit
from minova.db.connections import timeouts
from minova.db.connections import user_regex

Connection = sa.Connection
T = TypeVar('T')

#: Seconds before the first retry, and the most that doubling leads to.
_RETRY_DELAYS = (0.02, 1.0)
#: The share of the timeout after which no retry starts, by whether the error
#: was ErrorClass.RETRY: PostgreSQL takes a second to detect a deadlock, and an
#: attempt without an answer may use the whole timeout.
_RETRY_SHARE = {True: 0.6, False: 0.25}
#: Seconds that replace the timeout in that rule where there is none.
_DEFAULT_RETRY_SECONDS = 20.0
#: Seconds for which the circuit breaker stays open after a timeout.
_BREAKER_SECONDS = 1.0
#: An attempt that took this share of the timeout had no answer.
_TIMED_OUT_SHARE = 0.8


#: The errors of a failed connect. oslo.db raises DBConnectionError for an
#: unreachable MariaDB only; an unknown user or database, and the errors of
#: PostgreSQL and SQLite, have other types.
_CONNECT_ERRORS = (
    db_exception.DBConnectionError,
    db_exception.DBNonExistentDatabase,
    sa.exc.OperationalError,
)


class PoolPlugin(sa.CreateEnginePlugin):
    """Save round trips per transaction, and install the timeouts.

    The timeouts apply from the first connection on, which oslo.db makes.
    """

    def __init__(self, url: sa.URL, kwargs: dict[str, object]) -> None:
        super().__init__(url, kwargs)
        value = url.query.get(_TIMEOUT_PARAMETER)
        self._timeout = None if value is None else float(str(value))

    def handle_pool_kwargs(
        self, pool_cls: type[sa.Pool], pool_args: dict[str, object]
    ) -> None:
        """Override the arguments of oslo.db."""
        pool_args.update(pre_ping=False, reset_on_return=None)

    def update_url(self, url: sa.URL) -> sa.URL:
        """Return the URL without the plugin's parameter."""
        return url.difference_update_query([_TIMEOUT_PARAMETER])

    def engine_created(self, engine: sa.Engine) -> None:
        """Install the timeouts."""
        if self._timeout is not None:
            timeouts.install(engine, self._timeout)


#: The URL parameter that passes the timeout to the plugin, in seconds.
_TIMEOUT_PARAMETER = 'minova_timeout'

plugins.register('minova', __name__, 'PoolPlugin')


#: The key of a connection's callbacks in ``Connection.info``.
_AFTER_COMMIT = 'minova_after_commit'


def after_commit(connection: Connection, callback: Callable[[], None]) -> None:
    """Call ``callback`` after the commit; never after a rollback."""
    connection.info.setdefault(_AFTER_COMMIT, []).append(callback)


class Database:
    """A database and its connection pool; one per process.

    ``timeout`` is in seconds, for each answer of the server; None: no limit.
    """

    def __init__(
        self, engine: sa.Engine, timeout: float | None = None
    ) -> None:
        self.engine = engine
        self._timeout = timeout
        self._clock_offset = clock_offset.ClockOffset(engine.dialect.name)
        self._is_sqlite = engine.dialect.name == 'sqlite'
        self._sqlite_writers: sqlite_writers.Writers | None = None
        if self._is_sqlite and engine.url.database:
            self._sqlite_writers = sqlite_writers.of_file(engine.url.database)
        self._breaker_open = False
        self._breaker_until = 0.0
        self._probe_lock = clock.lock()

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a transaction and commit it.

        Raises Unavailable when the database cannot be reached or does not
        answer; nothing was written. Raises CommitUncertain when the answer to
        the commit was lost; all or nothing was written.
        """
        with self._circuit_breaker():
            return self._run_with_retries(work, writes=True)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work``, which only reads, in one transaction."""
        with self._circuit_breaker():
            return self._run_with_retries(work, writes=False)

    @contextlib.contextmanager
    def _circuit_breaker(self) -> Iterator[None]:
        """Fail fast after a timeout; let one thread at a time probe.

        The other threads would block until their own timeout, together with
        the callers that wait for them.
        """
        is_probe = self._breaker_open
        if is_probe:
            is_open = clock.monotonic() < self._breaker_until
            if is_open or not self._probe_lock.acquire(blocking=False):
                raise _unavailable('it does not answer')
        try:
            yield
        finally:
            if is_probe:
                self._probe_lock.release()

    def _run_with_retries(
        self, work: Callable[[Connection], T], writes: bool
    ) -> T:
        """Run ``work`` until it succeeds or the time for retries is over."""
        first = clock.monotonic()
        pause, longest = _RETRY_DELAYS
        while True:
            began = clock.monotonic()
            try:
                result = self._run_once(work, writes)
            except error_classes.DATABASE_ERRORS as error:
                failure = error_classes.classify(error)
                if failure is None:
                    raise
                cause = error
            else:
                self._breaker_open = False
                return result
            self._update_breaker(failure, clock.monotonic() - began)
            is_retryable = (
                failure.error_class is error_classes.ErrorClass.RETRY
            )
            retry_seconds = (
                self._timeout or _DEFAULT_RETRY_SECONDS
            ) * _RETRY_SHARE[is_retryable]
            if clock.monotonic() + pause > first + retry_seconds:
                raise _unavailable(failure.reason) from cause
            # The jitter keeps two deadlocked transactions from meeting again.
            clock.sleep(clock.uniform(0, pause))
            pause = min(pause * 2, longest)

    def _update_breaker(
        self, failure: error_classes.ClassifiedError, seconds: float
    ) -> None:
        if (
            self._timeout is None
            or failure.error_class is error_classes.ErrorClass.POOL_EXHAUSTED
        ):
            return
        if failure.error_class is error_classes.ErrorClass.RETRY:
            self._breaker_open = False
        elif seconds >= self._timeout * _TIMED_OUT_SHARE:
            self._breaker_until = clock.monotonic() + _BREAKER_SECONDS
            self._breaker_open = True

    def _run_once(self, work: Callable[[Connection], T], writes: bool) -> T:
        # In SQLite a deferred transaction fails when it starts to write after
        # another writer; an immediate one waits for the lock.
        writers = self._sqlite_writers if writes else None
        committing = False
        try:
            with self._connect() as connection:
                # An earlier transaction, rolled back, may have left callbacks.
                connection.info.pop(_AFTER_COMMIT, None)
                if self._is_sqlite:
                    # Keeps oslo.db from compiling a BEGIN each time.
                    connection.info['in_transaction'] = True
                with connection.begin():
                    if writers:
                        writers.begin(connection, self._timeout)
                    elif self._is_sqlite:
                        connection.exec_driver_sql('BEGIN')
                    self._clock_offset.measure(connection)
                    result = work(connection)
                    committing = writes
                committing = False
                callbacks = connection.info.pop(_AFTER_COMMIT, ())
        except error_classes.DATABASE_ERRORS as error:
            failure = error_classes.classify(error) if committing else None
            if (
                failure is None
                or failure.error_class is error_classes.ErrorClass.RETRY
            ):
                raise
            raise exception.CommitUncertain(
                what='The database', reason=failure.reason
            ) from error
        for callback in callbacks:
            callback()
        return result

    def _connect(self) -> Connection:
        try:
            return self.engine.connect()
        except _CONNECT_ERRORS as error:
            raise db_exception.DBConnectionError(error) from error

    def dispose(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _unavailable(reason: str) -> exception.Unavailable:
    return exception.Unavailable(what='The database', reason=reason)


def _set_defaults(conf: cfg.ConfigOpts) -> None:
    db_options.set_defaults(conf, max_pool_size=libraries.MAX_POOL_SIZE)


def check(conf: cfg.ConfigOpts) -> None:
    """Raise ConfigInvalid unless [database] connection is usable."""
    _set_defaults(conf)
    url = conf.database.connection
    if not url:
        raise exception.ConfigInvalid(
            reason='[database] connection is not set; set a URL, for '
            'example mysql+pymysql://minova:SECRET@127.0.0.1/minova'
        )
    try:
        sa.make_url(url).get_dialect().import_dbapi()
    except (sa.exc.ArgumentError, ValueError) as error:
        raise exception.ConfigInvalid(
            reason='[database] connection is not a database URL; the form '
            'is mysql+pymysql://USER:PASSWORD@HOST/NAME'
        ) from error
    except (sa.exc.NoSuchModuleError, ImportError) as error:
        raise exception.ConfigInvalid(
            reason=f'[database] connection needs a driver that is missing: '
            f'{error}; install minova[mysql] or minova[postgresql]'
        ) from error


def connect(
    conf: cfg.ConfigOpts,
    url: str | None = None,
    timeout: float | None = None,
) -> Database:
    """Connect to the database at ``url`` or ``[database] connection``.

    ``timeout`` is in seconds, for each answer of the server; None: no limit.
    Raises ConfigInvalid, or Unavailable when the server does not answer.
    """
    _set_defaults(conf)
    if url is not None:
        conf.set_override('connection', url, 'database')
    check(conf)
    facade = enginefacade.transaction_context()
    facade.configure(**_engine_options(conf, timeout))
    try:
        # enginefacade connects once when it creates the engine.
        engine = facade.writer.get_engine()
    except _CONNECT_ERRORS as error:
        shown_url = sa.make_url(conf.database.connection).render_as_string()
        raise exception.Unavailable(
            what='The database',
            reason=f'{shown_url}: {error_classes.first_line(error)}',
        ) from error
    _install_listeners(engine, timeout)
    return Database(engine, timeout)


def _engine_options(
    conf: cfg.ConfigOpts, timeout: float | None
) -> dict[str, str | int | bool | None]:
    """Return the arguments of enginefacade, from the [database] group."""
    url = sa.make_url(conf.database.connection)
    plugin_url = url.update_query_dict({'plugin': 'minova'}, append=True)
    pool_timeout = conf.database.pool_timeout
    recycle_time = conf.database.connection_recycle_time
    if url.get_backend_name() == 'sqlite' and not url.database:
        recycle_time = -1  # an in-memory database ends with its connection
    if timeout is not None:
        plugin_url = plugin_url.update_query_dict(
            {_TIMEOUT_PARAMETER: str(timeout)}
        )
        if url.get_backend_name() != 'sqlite':  # SQLite has no pool
            pool_timeout = min(pool_timeout or timeout, timeout)
    return {
        'connection': plugin_url.render_as_string(hide_password=False),
        'max_retries': 1,
        'retry_interval': 0,
        'sqlite_synchronous': True,
        'mysql_sql_mode': conf.database.mysql_sql_mode,
        'mysql_wsrep_sync_wait': conf.database.mysql_wsrep_sync_wait,
        'connection_recycle_time': recycle_time,
        'connection_debug': conf.database.connection_debug,
        'max_pool_size': conf.database.max_pool_size,
        'max_overflow': conf.database.max_overflow,
        'pool_timeout': pool_timeout,
        'thread_checkin': False,
    }


def _install_listeners(engine: sa.Engine, timeout: float | None) -> None:
    """Prepare every new connection: isolation level, SQL functions."""
    longest = None if timeout is None else timeout * timeouts.STATEMENT_SHARE
    statement_limit.install(engine, longest)
    if engine.dialect.name == 'sqlite':
        event.listen(engine, 'connect', _prepare_sqlite)
    elif engine.dialect.name in ('mysql', 'mariadb'):
        event.listen(engine, 'connect', _prepare_mysql)
    engine.dispose()


def _prepare_sqlite(
    connection: sqlite3.Connection, record: sa.pool.ConnectionPoolEntry
) -> None:
    connection.create_function(
        'minova_now',
        0,
        lambda: f'{clock.now():%Y-%m-%d %H:%M:%S.%f}',
    )
    user_regex.install(connection)
    sqlite_writers.set_patience(connection)
    cursor = connection.cursor()
    cursor.execute('PRAGMA journal_mode = WAL')
    cursor.execute('PRAGMA synchronous = FULL')
    cursor.close()


def _prepare_mysql(
    connection: DBAPIConnection, record: sa.pool.ConnectionPoolEntry
) -> None:
    cursor = connection.cursor()
    cursor.execute('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED')
    # MySQL cuts the tags of a server in a list at 1024 bytes by default.
    cursor.execute('SET SESSION group_concat_max_len = 1048576')
    cursor.close()
