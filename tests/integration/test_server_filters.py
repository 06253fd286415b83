# SPDX-License-Identifier: Apache-2.0
"""Filters of server lists that must mean the same on every database."""

from minova import clock
from minova.conf import CONF
from minova.context import Context
from minova.context import generate_request_id
from minova.db import migrate
from minova.db.connections import engine
from minova.db.queries import instance_tags
from minova.db.queries import server_queries
from minova.engine import begin
from minova.objects.operation_params import CreateParams
from tests import base
from tests.integration.databases import OnMariaDB
from tests.integration.databases import OnMySQLClient
from tests.integration.databases import OnPostgreSQL
from tests.integration.databases import OnSqlite
from tests.unit.audit.row_builders import flavor

#: The longest tags that a server may have.
MANY = [f'{number:02}{"€" * 58}' for number in range(50)]
TAGS = {
    'red': ['red'],
    'part': ['x"red"y', 'reds', '["red"]'],
    'case': ['Red', 'RED'],
    'blank': ['red ', ' red'],
    'accent': ['rèd', 'réd'],
    'pattern': ['r%', 'r_d', 'r.d', '\\'],
    'both': ['red', 'blue'],
    'none': [],
    'many': MANY,
}


class FiltersMixin:
    """The tests for each database."""

    def setUp(self):
        super().setUp()
        self.database = engine.connect(CONF, self.url())
        self.addCleanup(self.database.dispose)
        migrate.sync(self.database)
        self.database.write(self.create)

    def create(self, connection):
        who = Context(
            user_id='user',
            project_id='project',
            roles=['member'],
            request_id=generate_request_id(),
        )
        for name, tags in TAGS.items():
            made = begin.new_instance(
                who,
                flavor(),
                uuid=clock.uuid4(),
                display_name=name,
                hostname=name,
                reservation_id='r-1',
                image_ref='',
            )
            begin.create(connection, who, made, 'api.api', CreateParams())
            instance_tags.add(connection, [made.uuid], tags)

    def found(self, with_tags=False, **filters):
        names = {name.replace('_', '-'): filters[name] for name in filters}
        return self.database.read(
            lambda connection: server_queries.list_page(
                connection, names, 100, tags=with_tags
            )
        )

    def names(self, **filters):
        return {row.display_name for row in self.found(**filters)}

    def test_tags_are_exact(self):
        for name, tags in TAGS.items():
            for tag in tags:
                expected = {key for key in TAGS if tag in TAGS[key]}
                self.assertIn(name, expected)
                self.assertEqual(expected, self.names(tags=[tag]), tag)
        for tag in ('re', 'x"red"', 'r', 'rEd', 'red  ', '%', '', 'd"'):
            self.assertEqual(set(), self.names(tags=[tag]), tag)

    def test_combinations(self):
        pair = ['red', 'blue']
        everything = set(TAGS)
        for filters, expected in (
            ({'tags': pair}, {'both'}),
            ({'tags_any': pair}, {'red', 'both'}),
            ({'not_tags': pair}, everything - {'both'}),
            ({'not_tags_any': pair}, everything - {'red', 'both'}),
            ({'tags': ['red'], 'not_tags': ['blue']}, {'red'}),
        ):
            self.assertEqual(expected, self.names(**filters), filters)

    def test_tags_are_shown_in_full(self):
        shown = {
            row.display_name: sorted(row.tags.split(',')) if row.tags else []
            for row in self.found(with_tags=True)
        }
        self.assertEqual(
            {name: sorted(tags) for name, tags in TAGS.items()}, shown
        )

    def test_flavor(self):
        number = flavor().id
        self.assertEqual(set(TAGS), self.names(flavor=number))
        self.assertEqual(set(), self.names(flavor=number + 1))

    def test_replaced_tags(self):
        (red,) = self.found(tags=['red'], not_tags=['blue'])
        for tags in (['blue', 'Blue', 'blue '], ['blue'], []):
            self.database.write(
                lambda connection, tags=tags: instance_tags.replace(
                    connection, red.uuid, tags
                )
            )
            self.assertEqual(
                sorted(tags),
                self.database.read(
                    lambda connection: instance_tags.list_tags(
                        connection, red.uuid
                    )
                ),
            )


class SqliteTest(OnSqlite, FiltersMixin, base.TestCase):
    """On SQLite."""


class MariaDBTest(OnMariaDB, FiltersMixin, base.TestCase):
    """On MariaDB."""


class MySQLClientTest(OnMySQLClient, FiltersMixin, base.TestCase):
    """On MariaDB, with the C driver."""


class PostgreSQLTest(OnPostgreSQL, FiltersMixin, base.TestCase):
    """On PostgreSQL."""
