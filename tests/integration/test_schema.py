# SPDX-License-Identifier: Apache-2.0
"""The schema migrations on every supported database."""

from alembic import autogenerate
from alembic.runtime import migration
from sqlalchemy import event

from minova import exception
from minova.conf import CONF
from minova.db import migrate
from minova.db import schema
from minova.db import tables
from minova.db.connections import engine
from minova.db.queries import hosts
from minova.db.queries import leases
from tests import base
from tests.integration.databases import OnMariaDB
from tests.integration.databases import OnMySQLClient
from tests.integration.databases import OnPostgreSQL
from tests.integration.databases import OnSqlite


class SchemaMixin:
    """The tests for each database."""

    def setUp(self):
        super().setUp()
        self.database = engine.connect(CONF, self.url())
        self.addCleanup(self.database.dispose)

    def test_up_from_empty(self):
        self.assertIsNone(schema.current(self.database))
        error = self.assertRaises(
            exception.Unavailable, schema.require, self.database
        )
        self.assertIn('minova-manage db sync', str(error))
        migrate.sync(self.database)
        self.assertEqual(schema.HEAD, schema.current(self.database))
        self.assertEqual(schema.HEAD, migrate.head_revision(self.database))
        schema.require(self.database)
        migrate.sync(self.database)
        self.assertEqual(schema.HEAD, schema.current(self.database))

    def test_migrations_make_the_tables_that_the_code_knows(self):
        migrate.sync(self.database)
        with self.database.engine.connect() as connection:
            context = migration.MigrationContext.configure(
                connection, opts={'compare_type': True}
            )
            difference = autogenerate.compare_metadata(
                context, tables.metadata
            )
        self.assertEqual([], difference)

    def test_leases(self):
        migrate.sync(self.database)
        self.assertTrue(leases.acquire(self.database, 'l', 'a', 60))
        self.assertFalse(leases.acquire(self.database, 'l', 'b', 60))
        self.assertTrue(leases.acquire(self.database, 'l', 'a', 0.2))
        self.assertTrue(leases.acquire(self.database, 'other', 'b', 60))
        for _ in range(100):
            if leases.acquire(self.database, 'l', 'b', 60):
                break
            base.clock.sleep(0.01)
        else:
            self.fail('the lease never ran out')
        leases.release(self.database, 'l', 'a')
        self.assertFalse(leases.acquire(self.database, 'l', 'a', 60))
        leases.release(self.database, 'l', 'b')
        self.assertTrue(leases.acquire(self.database, 'l', 'a', 60))


class ServerMixin(SchemaMixin):
    """Concurrent writers."""

    def test_two_workers_of_a_service_register_at_once(self):
        migrate.sync(self.database)
        inserts = []

        def register(incarnation):
            return self.database.write(
                lambda connection: hosts.register_service(
                    connection, 'nova-conductor', 'c', incarnation, '1'
                )
            )

        def other_is_faster(connection, cursor, statement, *more):
            if statement.startswith('INSERT INTO services'):
                inserts.append(statement)
                if len(inserts) == 1:
                    register('first')

        engine = self.database.engine
        event.listen(engine, 'before_cursor_execute', other_is_faster)
        register('second')
        self.assertEqual(2, len(inserts))
        found = self.database.read(hosts.list_services)
        self.assertEqual(['second'], [one.incarnation for one in found])


class SqliteTest(OnSqlite, SchemaMixin, base.TestCase):
    """On SQLite."""


class MariaDBTest(OnMariaDB, ServerMixin, base.TestCase):
    """On MariaDB."""


class MySQLClientTest(OnMySQLClient, ServerMixin, base.TestCase):
    """On MariaDB, with the C driver."""


class PostgreSQLTest(OnPostgreSQL, ServerMixin, base.TestCase):
    """On PostgreSQL."""
