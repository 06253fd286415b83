# SPDX-License-Identifier: Apache-2.0
"""Regular expressions of users on real database servers.

No expression occupies a server for longer than the limit, the caller gets an
explanation, and the connection keeps its own timeouts.
"""

import datetime
import time
import uuid

import sqlalchemy as sa

from minova import exception
from minova.conf import CONF
from minova.db import migrate
from minova.db import tables
from minova.db.connections import engine
from minova.db.connections import error_classes
from minova.db.connections import statement_limit
from minova.db.queries import server_queries
from tests import base
from tests.functional.api import test_hostile_text
from tests.integration.databases import OnMariaDB
from tests.integration.databases import OnMySQLClient
from tests.integration.databases import OnPostgreSQL

#: The timeout of an answer in seconds.
TIMEOUT = 20.0
#: The columns of a server that the tests give values.
GIVEN = (
    'uuid',
    'display_name',
    'display_description',
    'created_at',
    'vm_state',
    'project_id',
)


class RegexFilters:
    """The tests, for one driver; mixed into test cases."""

    def setUp(self):
        super().setUp()
        self.database = engine.connect(CONF, self.url(), TIMEOUT)
        self.addCleanup(self.database.dispose)
        migrate.sync(self.database)
        self.database.write(self.insert_servers)

    def insert_servers(self, connection):
        """Insert servers with long names, as many as a quota may allow."""
        required = {
            column.name: self.example(column)
            for column in tables.instances.columns
            if not column.nullable
            and column.default is None
            and column.server_default is None
            and column.name not in ('id', *GIVEN)
        }
        # Documents are written as they are stored.
        plain = sa.table('instances', *map(sa.column, [*required, *GIVEN]))
        connection.execute(
            sa.insert(plain),
            [
                required
                | {
                    'uuid': str(uuid.uuid4()),
                    'display_name': 'a' * 250,
                    'display_description': 'a' * 250,
                    'created_at': datetime.datetime(2026, 11, 30),
                    'vm_state': 'active',
                    'project_id': 'p',
                }
                for _ in range(1000)
            ],
        )

    def example(self, column):
        """Return a value that fits a column."""
        if isinstance(column.type, sa.Boolean):
            return False
        if isinstance(column.type, sa.Integer):
            return 1
        if isinstance(column.type, sa.String):
            return 'x'
        return '{}'

    def list_servers(self, **filters):
        return self.database.read(
            lambda c: server_queries.list_page(c, filters, 10)
        )

    def test_hostile_filters_are_bounded(self):
        hostile = test_hostile_text.HOSTILE
        for name, patterns in (
            ('name', hostile),
            ('description', hostile[1:2]),
        ):
            for pattern in patterns:
                began = time.monotonic()
                try:
                    found = self.list_servers(**{name: pattern})
                except exception.InvalidInput as error:
                    self.assertIn(name, str(error))
                    self.assertIn('expression is too slow', str(error))
                else:
                    self.assertEqual([], found)
                spent = time.monotonic() - began
                self.assertLess(spent, 12, (name, pattern))
        # Expressions of every day are not refused.
        for pattern in ('^a+$', 'a.*a.*a', '(web|a)', 'a{3}'):
            self.assertEqual(10, len(self.list_servers(name=pattern)))
        self.assertEqual([], self.list_servers(name='^web-[0-9]+$'))

    def test_limit_is_of_the_statement_only(self):
        query = statement_limit.limit(sa.text(self.slow), 0.5)
        began = time.monotonic()
        error = self.assertRaises(
            error_classes.DATABASE_ERRORS, self.execute_once, query
        )
        self.assertLess(time.monotonic() - began, 2)
        self.assertTrue(error_classes.is_statement_timeout(error), error)
        # The same connection, and no limit.
        self.database.read(lambda c: c.execute(sa.text(self.slow)))

    def execute_once(self, query):
        """Execute a query without the retries of a transaction."""
        with self.database.engine.connect() as connection:
            connection.execute(query)


class PyMySQLTest(OnMariaDB, RegexFilters, base.TestCase):
    """MariaDB, by PyMySQL."""

    slow = 'SELECT COUNT(*), SLEEP(2) FROM instances'


class MysqlclientTest(OnMySQLClient, RegexFilters, base.TestCase):
    """MariaDB, by mysqlclient."""

    slow = 'SELECT COUNT(*), SLEEP(2) FROM instances'


class PostgreSQLTest(OnPostgreSQL, RegexFilters, base.TestCase):
    """PostgreSQL, by psycopg."""

    slow = 'SELECT pg_sleep(2)'
