# SPDX-License-Identifier: Apache-2.0
"""Transactions on a SQLite database that another process uses.

``tests/integration/test_database_outages.py`` has the servers.
"""

import os
import sqlite3

import fixtures
import sqlalchemy as sa

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.db.connections import engine
from minova.db.connections import error_classes
from minova.db.connections import sqlite_writers
from tests import base

#: Seconds for which a transaction waits.
TIMEOUT = 0.5
#: Seconds in which it must end, well below SQLite's default.
PROMPTLY = 4.5

#: Seconds of a transaction of the test of many writers.
TRANSACTION = 0.002

NUMBERS = sa.table('numbers', sa.column('value'))


class SqliteTest(base.TestCase):
    """Waits are bounded by the timeout, and errors are no bugs."""

    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.directory, 'minova.sqlite')
        url = f'sqlite:///{self.path}'
        self.database = engine.connect(CONF, url, TIMEOUT)
        self.addCleanup(self.database.dispose)
        self.database.write(
            lambda c: c.execute(sa.text('CREATE TABLE numbers (value INT)'))
        )
        self.other = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(self.other.close)

    def write(self):
        self.database.write(lambda c: c.execute(sa.insert(NUMBERS), {}))

    def count(self):
        return len(
            self.database.read(lambda c: c.execute(sa.select(NUMBERS)).all())
        )

    def assert_unavailable(self, work):
        """Check that the error is Unavailable; return the seconds."""
        began = clock.monotonic()
        self.assertRaises(exception.Unavailable, work)
        return clock.monotonic() - began

    def test_write_waits_for_the_timeout(self):
        self.other.execute('BEGIN IMMEDIATE')
        seconds = self.assert_unavailable(self.write)
        self.assertTrue(TIMEOUT * 0.8 < seconds < PROMPTLY, seconds)
        # Readers do not wait for a writer.
        self.assertEqual(0, self.count())
        self.other.execute('ROLLBACK')
        self.write()
        self.assertEqual(1, self.count())

    def test_read_waits_for_the_timeout(self):
        self.other.execute('PRAGMA locking_mode = EXCLUSIVE')
        self.other.execute('INSERT INTO numbers VALUES (1)')
        self.assertLess(self.assert_unavailable(self.count), PROMPTLY)

    def test_full_disk(self):
        pages = self.other.execute('PRAGMA page_count').fetchone()[0]

        def fill(connection):
            connection.execute(sa.text(f'PRAGMA max_page_count = {pages}'))
            connection.execute(
                sa.insert(NUMBERS), {'value': 'x' * 4096 * (pages + 2)}
            )

        error = self.assertRaises(
            exception.Unavailable, self.database.write, fill
        )
        self.assertIn('disk is full', str(error))
        self.write()

    def test_wrong_statement_is_no_outage(self):
        error = self.assertRaises(
            error_classes.DATABASE_ERRORS,
            self.database.write,
            lambda c: c.execute(sa.text('SELECT nothing')),
        )
        self.assertIsNone(error_classes.classify(error))

    def test_no_writer_starves(self):
        """Later writers come first for as long as the patience lasts."""
        patience = 10 * TRANSACTION
        self.useFixture(
            fixtures.MockPatchObject(sqlite_writers, 'PATIENCE', patience)
        )
        commits = []
        overtaken = []

        def write(asked):
            self.database.write(
                lambda c: (
                    overtaken.append(len(commits) - asked),
                    clock.sleep(TRANSACTION),
                )
            )
            commits.append(asked)

        def loop():
            for _ in range(20):
                write(len(commits))

        threads = [clock.spawn('writer', loop) for _ in range(6)]
        for thread in threads:
            thread.join(2 * PROMPTLY)
        self.assertEqual(120, len(commits))
        # Those of the patience, and one of each other thread twice: it waits
        # in SQLite already, or for its turn at the gate.
        self.assertLessEqual(max(overtaken), 10 + 2 * 5, overtaken)

    def test_write_waits_for_a_thread_for_the_timeout(self):
        def hold(connection):
            seconds.append(self.assert_unavailable(self.write))

        seconds = []
        self.database.write(hold)
        self.assertTrue(TIMEOUT * 0.8 < seconds[0] < PROMPTLY, seconds)
        self.write()
        self.assertEqual(1, self.count())

    def test_gate_is_one_per_file(self):
        """The services of one process have connections of their own."""
        other = engine.connect(CONF, f'sqlite:///{self.path}', TIMEOUT)
        self.addCleanup(other.dispose)
        self.assertIs(self.database._sqlite_writers, other._sqlite_writers)
