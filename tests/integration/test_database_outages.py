# SPDX-License-Identifier: Apache-2.0
"""The outcome of a transaction for each kind of database failure.

The tests use real servers and every supported driver. Each failure restores
the server; all share one server, because a start takes longer than most
failures.
"""

import contextlib
import threading

from oslo_db import options as db_options
import sqlalchemy as sa
from testtools import content

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.db.connections import engine
from minova.db.connections import error_classes
from tests import base
from tests.fixtures import servers

#: The timeout of an answer in seconds. mysqlclient rounds it to whole seconds,
#: as psycopg does for the connect timeout.
TIMEOUT = 1.4
#: Seconds in which an outage of the database must be reported.
PROMPTLY = 3.5

NUMBERS = sa.table('numbers', sa.column('id'), sa.column('value'))


class FailureModes:
    """The failures, for one driver; mixed into test cases."""

    def setUp(self):
        super().setUp()
        db_options.set_defaults(CONF)
        self.server = self.useFixture(self.make_server())
        self.url = self.make_url()
        self.database = self.connect()
        self.database.write(
            lambda c: c.execute(
                # Without a key, an update waits for the locks of all rows.
                sa.text('CREATE TABLE numbers (id INT PRIMARY KEY, value INT)')
            )
        )
        self.database.write(
            lambda c: c.execute(
                sa.insert(NUMBERS), [{'id': n, 'value': 0} for n in (1, 2)]
            )
        )

    def connect(self, timeout=TIMEOUT, **options):
        """Return another connection pool, as of another process."""
        usual = {'max_pool_size': 5, 'max_overflow': 5}
        self.config('database', **usual | options)
        made = engine.connect(CONF, self.url, timeout)
        self.addCleanup(made.dispose)
        return made

    def test_all_failure_modes(self):
        ways = [name for name in dir(self) if name.startswith('way_')]
        self.assertGreater(len(ways), 15)
        for name in ways:
            self.addDetail('way', content.text_content(name))
            self.database = self.connect()
            self.database.write(self.reset)
            getattr(self, name)()

    def reset(self, connection):
        connection.execute(sa.update(NUMBERS).values(value=0))

    # -- what is done and seen -----------------------------------------------

    def raise_value(self, number=1):
        """Return a transaction that adds one."""

        def work(connection):
            connection.execute(
                sa.update(NUMBERS)
                .where(NUMBERS.c.id == number)
                .values(value=NUMBERS.c.value + 1)
            )

        return work

    def once(self, breaks, then=None):
        """Return a transaction that fails at the first attempt."""
        broken = []

        def work(connection):
            self.raise_value()(connection)
            if not broken:
                broken.append(True)
                breaks(connection)
            if then is not None:
                then(connection)

        return work

    def value(self, number=1):
        return self.database.read(
            lambda c: c.execute(
                sa.select(NUMBERS.c.value).where(NUMBERS.c.id == number)
            ).scalar_one()
        )

    def wait_until_back(self):
        """Retry ``work`` until it succeeds."""
        until = clock.monotonic() + 10
        while clock.monotonic() < until:
            try:
                return self.database.write(self.raise_value())
            except exception.Unavailable:
                clock.sleep(0.1)
        raise AssertionError('it is never back')

    def assert_away(self, work=None, error=exception.Unavailable):
        """The error comes in time and has the right class."""
        began = clock.monotonic()
        raised = self.assertRaises(
            exception.Unavailable,
            self.database.write,
            work or self.raise_value(),
        )
        self.assertLess(clock.monotonic() - began, PROMPTLY)
        self.assertIs(error, type(raised), str(raised))
        self.assertEqual('The database', raised.kwargs['what'])

    # -- the server ----------------------------------------------------------

    def way_frozen(self):
        self.server.pause()
        self.assert_away()
        self._query_in_thread()
        self.server.resume()
        self.wait_until_back()
        self.assertEqual(1, self.value())

    def way_frozen_before_there_is_a_connection(self):
        self.database.dispose()
        self.server.pause()
        error = self.assertRaises(exception.Unavailable, self.connect)
        self.assertNotIn('minova_timeout', str(error))
        self.server.resume()
        self.wait_until_back()
        self.assertEqual(1, self.value())

    def _query_in_thread(self):
        """While the database is silent one thread probes, the others fail."""
        clock.sleep(1.1)
        asking = threading.Thread(target=self.assert_away)
        asking.start()
        clock.sleep(0.2)
        began = clock.monotonic()
        for _ in range(50):
            self.assert_away()
        self.assertLess(clock.monotonic() - began, TIMEOUT)
        asking.join()

    def way_frozen_at_the_commit(self):
        self.assert_away(
            self.once(lambda connection: self.server.pause()),
            exception.CommitUncertain,
        )
        self.server.resume()
        self.wait_until_back()
        # The transaction commits completely or not at all, and never twice.
        self.assertIn(self.value(), (1, 2))

    def way_killed_at_the_commit(self):
        self.assert_away(
            self.once(lambda connection: self.server.kill()),
            exception.CommitUncertain,
        )
        self.server.start()
        self.assertEqual(0, self.value())

    def way_down(self):
        self.server.stop()
        self.assert_away()
        self.server.start()
        self.database.write(self.raise_value())
        self.assertEqual(1, self.value())

    def way_killed(self):
        self.server.kill()
        self.assert_away()
        self.server.start()
        self.database.write(self.raise_value())
        self.assertEqual(1, self.value())

    def way_restarted_in_the_middle(self):
        def restart(connection):
            self.server.stop()
            self.server.start()

        # No answer was pending, so the full timeout applies.
        self.database = self.connect(timeout=60)
        self.database.write(self.once(restart, self.raise_value(2)))
        self.assertEqual((1, 1), (self.value(1), self.value(2)))

    # -- the connection, others ----------------------------------------------

    def way_a_connection_that_is_ended_in_the_middle(self):
        self.database.write(self.once(self.end, self.raise_value(2)))
        self.assertEqual((1, 1), (self.value(1), self.value(2)))

    def way_a_deadlock(self):
        # PostgreSQL searches for a deadlock after a second.
        self.database = self.connect(timeout=6)
        meeting = threading.Barrier(2)

        def cross(first, second):
            met = []

            def work(connection):
                self.raise_value(first)(connection)
                if not met:
                    met.append(True)
                    meeting.wait(10)
                self.raise_value(second)(connection)

            return work

        other = threading.Thread(
            target=self.database.write, args=(cross(1, 2),)
        )
        other.start()
        self.database.write(cross(2, 1))
        other.join()
        self.assertEqual((2, 2), (self.value(1), self.value(2)))

    @contextlib.contextmanager
    def held(self):
        """Lock the first row in another transaction."""
        with self.connect(timeout=None).engine.begin() as other:
            self.raise_value()(other)
            yield

    def way_lock_timeout(self):
        with self.held():
            self.assert_away()
            # Other transactions continue: this is no outage.
            self.database.write(self.raise_value(2))
        self.database.write(self.raise_value())
        self.assertEqual((2, 1), (self.value(1), self.value(2)))

    def way_a_locked_table(self):
        locker = self.connect(timeout=None)
        with locker.engine.connect() as connection, connection.begin():
            connection.detach()
            connection.execute(sa.text(self.lock_table))
            self.assert_away()
        self.database.write(self.raise_value())
        self.assertEqual(1, self.value())

    def way_a_statement_that_takes_too_long(self):
        slow = sa.text(self.slow)
        self.assert_away(lambda c: c.execute(slow))
        # Without a timeout a statement may be slow, as in a schema migration.
        self.connect(timeout=None).write(lambda c: c.execute(slow))

    def way_frozen_client_blocks_others_briefly(self):
        frozen = self.connect()
        connection = frozen.engine.connect()
        connection.begin()
        self.raise_value()(connection)
        self.assert_away()
        clock.sleep(TIMEOUT * 2)
        self.database.write(self.raise_value())
        self.assertEqual(1, self.value())
        connection.invalidate()
        connection.close()

    def way_all_connections_in_use(self):
        self.database = self.connect(max_pool_size=1, max_overflow=0)
        with self.database.engine.connect():
            self.assert_away()
            self.assertFalse(self.database._breaker_open)
        self.database.write(self.raise_value())

    def way_the_server_takes_no_more_connections(self):
        with contextlib.ExitStack() as taken:
            self.database.dispose()
            full = self.connect(timeout=None, max_pool_size=200)
            with contextlib.suppress(*error_classes.DATABASE_ERRORS):
                while True:
                    taken.enter_context(full.engine.connect())
            self.assert_away()
        full.dispose()
        self.database.write(self.raise_value())

    def way_read_only(self):
        self.set_read_only(True)
        self.assert_away()
        self.set_read_only(False)
        self.database.write(self.raise_value())

    def way_own_errors_are_no_outage(self):
        for broken in ('SELECT nothing', 'INSERT INTO nowhere VALUES (1)'):
            error = self.assertRaises(
                error_classes.DATABASE_ERRORS,
                self.database.write,
                lambda c, broken=broken: c.execute(sa.text(broken)),
            )
            self.assertIsNone(error_classes.classify(error))


class PyMySQLTest(FailureModes, base.TestCase):
    """MariaDB, by PyMySQL."""

    driver = 'pymysql'
    slow = 'SELECT SLEEP(2), COUNT(*) FROM numbers'
    lock_table = 'LOCK TABLES numbers WRITE'

    def make_server(self):
        return servers.MariaDB()

    def make_url(self):
        return self.server.url('ways', self.driver)

    def end(self, connection):
        number = connection.execute(sa.text('SELECT CONNECTION_ID()')).scalar()
        self.server._execute(f'KILL CONNECTION {number}')

    def set_read_only(self, wanted):
        # Root ignores the global setting, but not that of the transaction.
        mode = 'READ ONLY' if wanted else 'READ WRITE'
        self.server._execute(f'SET GLOBAL TRANSACTION {mode}')
        self.database.dispose()


class MysqlclientTest(PyMySQLTest):
    """MariaDB, by mysqlclient."""

    driver = 'mysqldb'


class PostgreSQLTest(FailureModes, base.TestCase):
    """PostgreSQL, by psycopg."""

    slow = 'SELECT pg_sleep(2)'
    lock_table = 'LOCK TABLE numbers'

    def make_server(self):
        return servers.PostgreSQL()

    def make_url(self):
        return self.server.url('ways')

    def _execute(self, statement):
        with self.server._connect() as connection:
            connection.execute(statement)

    def end(self, connection):
        number = connection.execute(
            sa.text('SELECT pg_backend_pid()')
        ).scalar()
        self._execute(f'SELECT pg_terminate_backend({number})')

    def set_read_only(self, wanted):
        mode = 'on' if wanted else 'off'
        self._execute(
            f'ALTER DATABASE ways SET default_transaction_read_only = {mode}'
        )
        self.database.dispose()
