# SPDX-License-Identifier: Apache-2.0
"""The column types of versioned objects and of exact texts."""

import orjson
import sqlalchemy as sa
from sqlalchemy import schema
from sqlalchemy.dialects import mysql
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite

from minova.db import types
from minova.objects import checkpoints
from minova.objects.step_args import RecheckArgs
from tests import base


class VersionedObjectTest(base.TestCase):
    """A row holds the wire form, the code an object."""

    def setUp(self):
        super().setUp()
        self.engine = sa.create_engine('sqlite://')
        self.addCleanup(self.engine.dispose)
        self.table = sa.Table(
            'rows',
            sa.MetaData(),
            sa.Column('id', sa.Integer, primary_key=True),
            sa.Column('value', types.VersionedObject),
        )
        self.table.create(self.engine)

    def store(self, value):
        """Store a value; return its text in the table, and what is read."""
        with self.engine.begin() as connection:
            connection.execute(self.table.delete())
            connection.execute(self.table.insert(), {'value': value})
            text = connection.exec_driver_sql('SELECT value FROM rows')
            read = connection.execute(sa.select(self.table.c.value))
            return text.scalar_one(), read.scalar_one()

    def test_object(self):
        text, read = self.store(RecheckArgs(recheck_hosts=['a']))
        wire = orjson.loads(text)
        self.assertEqual('RecheckArgs', wire['minova_object.name'])
        self.assertEqual('1.0', wire['minova_object.version'])
        self.assertIsInstance(read, RecheckArgs)
        self.assertEqual(['a'], read.recheck_hosts)

    def test_list(self):
        self.assertEqual(('[]', []), self.store([]))
        _, read = self.store(
            [checkpoints.RebootStarted(boot=3), checkpoints.GuestMigrated()]
        )
        started = checkpoints.find(read, checkpoints.RebootStarted)
        self.assertEqual(3, started.boot)
        self.assertIsNone(
            checkpoints.find(read, checkpoints.UnrescuedGuestStarted)
        )

    def test_none(self):
        self.assertEqual((None, None), self.store(None))


class ExactStringTest(base.TestCase):
    """A column of bytes where the collations are not exact."""

    def test_ddl(self):
        column = sa.Column('tag', types.ExactString(60), nullable=False)
        sa.Table('rows', sa.MetaData(), column)
        for dialect, expected in (
            (mysql.dialect(), 'VARBINARY(240)'),
            (mysql.dialect(is_mariadb=True), 'VARBINARY(240)'),
            (postgresql.dialect(), 'VARCHAR(60)'),
            (sqlite.dialect(), 'VARCHAR(60)'),
        ):
            text = str(schema.CreateColumn(column).compile(dialect=dialect))
            self.assertEqual(f'tag {expected} NOT NULL', text)
