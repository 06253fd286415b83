# SPDX-License-Identifier: Apache-2.0
"""The way to a database: one object that runs transactions.

``write`` and ``read`` take a function of an open connection and run it in a
transaction of its own, again after a deadlock or a lost connection: it must
therefore touch nothing but the connection. Isolation is READ COMMITTED;
whoever changes an instance locks its row first.

A connection goes back to the pool after COMMIT or ROLLBACK and is trusted when
it is taken again; that it was lost is found by the first statement, which then
runs again on another. That saves the usual two round trips, one to look before
a transaction and one to clean up after it.
"""

from collections.abc import Callable
from typing import Any
from typing import TypeVar

from oslo_config import cfg
from oslo_db import api as oslo_db_api
from oslo_db import exception as db_exception
from oslo_db import options as db_options
from oslo_db.sqlalchemy import enginefacade
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import plugins

from minova import clock
from minova import exception
from minova.conf import libraries

Connection = sa.Connection
T = TypeVar('T')

_RETRY = oslo_db_api.wrap_db_retry(
    max_retries=8,
    retry_interval=0.02,
    inc_retry_interval=True,
    max_retry_interval=1,
    retry_on_deadlock=True,
    retry_on_disconnect=True,
    exception_checker=lambda error: isinstance(error, _Busy),
)


#: What a connection that is not made ends with. Only that a MariaDB is away is
#: a DBConnectionError for oslo.db; that it knows no such user or database, and
#: whatever PostgreSQL and SQLite say, are others.
_NO_CONNECTION = (
    db_exception.DBConnectionError,
    db_exception.DBNonExistentDatabase,
    sa.exc.OperationalError,
)


class Pooling(sa.CreateEnginePlugin):
    """Makes no round trips before and after a transaction."""

    def handle_pool_kwargs(
        self, pool_cls: type[sa.Pool], pool_args: dict[str, Any]
    ) -> None:
        """Change what oslo.db asks for."""
        pool_args.update(pre_ping=False, reset_on_return=None)

    def update_url(self, url: sa.URL) -> sa.URL:
        """Return the URL as it is; nothing in it is ours."""
        return url


plugins.register('minova', __name__, 'Pooling')


#: Where a connection keeps what is to be done after its transaction.
_AFTER = 'minova_after_commit'


def after_commit(connection: Connection, act: Callable[[], None]) -> None:
    """Do ``act`` once the transaction is committed; never if it is not."""
    connection.info.setdefault(_AFTER, []).append(act)


class _Busy(Exception):
    """SQLite had another writer for longer than it waits."""


class Database:
    """A database and its connection pool; one a process."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a transaction and commit it.

        Raises Unavailable when the database cannot be reached; whether the
        last commit was done is then unknown.
        """
        return self._run(work, writes=True)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work``, which changes nothing, on one snapshot of a kind."""
        return self._run(work, writes=False)

    def _run(self, work: Callable[[Connection], T], writes: bool) -> T:
        try:
            result: T = _RETRY(self._once)(work, writes)
        except _Busy as error:
            raise exception.Unavailable(
                what='The database', reason=str(error)
            ) from error
        except db_exception.DBConnectionError as error:
            raise exception.Unavailable(
                what='The database', reason=_first_line(error)
            ) from error
        return result

    def _once(self, work: Callable[[Connection], T], writes: bool) -> T:
        # In SQLite a writer that begins as a reader fails when another writer
        # was faster; one that says what it wants waits for its turn.
        immediate = writes and self.engine.dialect.name == 'sqlite'
        try:
            with self._open() as connection:
                # What an earlier transaction, rolled back, has left there.
                connection.info.pop(_AFTER, None)
                if immediate:
                    # Tells oslo.db that we begin the transaction.
                    connection.info['in_transaction'] = True
                with connection.begin():
                    if immediate:
                        connection.exec_driver_sql('BEGIN IMMEDIATE')
                    result = work(connection)
                acts = connection.info.pop(_AFTER, ())
        except db_exception.DBError as error:
            if 'database is locked' in str(error):
                raise _Busy(str(error)) from error
            raise
        for act in acts:
            act()
        return result

    def _open(self) -> Connection:
        try:
            return self.engine.connect()
        except _NO_CONNECTION as error:
            raise db_exception.DBConnectionError(error) from error

    def dispose(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def _set_defaults(conf: cfg.ConfigOpts) -> None:
    db_options.set_defaults(conf, max_pool_size=libraries.MAX_POOL_SIZE)


def check(conf: cfg.ConfigOpts) -> None:
    """Raise ConfigInvalid for a connection that cannot be meant."""
    _set_defaults(conf)
    url = conf.database.connection
    if not url:
        raise exception.ConfigInvalid(
            reason='[database] connection is not set; name a database, for '
            'example mysql+pymysql://minova:SECRET@127.0.0.1/minova'
        )
    try:
        sa.make_url(url).get_dialect().import_dbapi()
    except (sa.exc.ArgumentError, ValueError) as error:
        raise exception.ConfigInvalid(
            reason='[database] connection is not a URL such as '
            'mysql+pymysql://USER:PASSWORD@HOST/NAME'
        ) from error
    except (sa.exc.NoSuchModuleError, ImportError) as error:
        raise exception.ConfigInvalid(
            reason=f'[database] connection needs a driver that is missing: '
            f'{error}; install minova[mysql] or minova[postgresql]'
        ) from error


def connect(conf: cfg.ConfigOpts, url: str | None = None) -> Database:
    """Return the database at ``url`` or ``[database] connection``.

    Raises ConfigInvalid, or Unavailable when it does not answer.
    """
    _set_defaults(conf)
    if url is not None:
        conf.set_override('connection', url, 'database')
    check(conf)
    facade = enginefacade.transaction_context()
    facade.configure(**_settings(conf))
    try:
        # enginefacade connects once when it makes the engine.
        engine = facade.writer.get_engine()
    except _NO_CONNECTION as error:
        named = sa.make_url(conf.database.connection).render_as_string()
        raise exception.Unavailable(
            what='The database', reason=f'{named}: {_first_line(error)}'
        ) from error
    return Database(_prepare(engine))


def _settings(conf: cfg.ConfigOpts) -> dict[str, Any]:
    """Return what enginefacade takes, read from the [database] group."""
    url = sa.make_url(conf.database.connection)
    marked = url.update_query_dict({'plugin': 'minova'}, append=True)
    return {
        'connection': marked.render_as_string(hide_password=False),
        'max_retries': 1,
        'retry_interval': 0,
        'sqlite_synchronous': True,
        'mysql_sql_mode': conf.database.mysql_sql_mode,
        'mysql_wsrep_sync_wait': conf.database.mysql_wsrep_sync_wait,
        'connection_recycle_time': conf.database.connection_recycle_time,
        'connection_debug': conf.database.connection_debug,
        'max_pool_size': conf.database.max_pool_size,
        'max_overflow': conf.database.max_overflow,
        'pool_timeout': conf.database.pool_timeout,
        'thread_checkin': False,
    }


def _prepare(engine: sa.Engine) -> sa.Engine:
    """Give every connection the isolation and the functions we rely on."""
    if engine.dialect.name == 'sqlite':
        event.listen(engine, 'connect', _prepare_sqlite)
    elif engine.dialect.name in ('mysql', 'mariadb'):
        event.listen(engine, 'connect', _prepare_mysql)
    engine.dispose()
    return engine


def _prepare_sqlite(connection: Any, record: Any) -> None:
    connection.create_function(
        'minova_now',
        0,
        lambda: f'{clock.now():%Y-%m-%d %H:%M:%S.%f}',
    )
    cursor = connection.cursor()
    cursor.execute('PRAGMA journal_mode = WAL')
    cursor.execute('PRAGMA synchronous = FULL')
    cursor.execute('PRAGMA busy_timeout = 10000')
    cursor.close()


def _prepare_mysql(connection: Any, record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED')
    cursor.close()
