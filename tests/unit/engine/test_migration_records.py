# SPDX-License-Identifier: Apache-2.0
"""The status of a migration's record changes by the table, or not at all."""

from types import SimpleNamespace
from unittest import mock

import fixtures

from minova import clock
from minova import exception
from minova.db.queries import migrations
from minova.engine import migration_records
from minova.migration_states import IllegalTransition
from tests import base


class StatusTest(base.TestCase):
    """What is written, and when."""

    def setUp(self):
        super().setUp()
        self.now = clock.now()
        self.writes = []
        self.useFixture(
            fixtures.MockPatchObject(
                migrations, 'update_status', self.update_status
            )
        )
        self.row_status = 'running'

    def update_status(self, connection, number, old, new, moment):
        if old != self.row_status:
            return False
        self.row_status = new
        self.writes.append((number, old, new, moment))
        return True

    def migration(self, status):
        return SimpleNamespace(
            id=7, kind='live-migration', status=status, updated_at=None
        )

    def advance(self, migration, status):
        migration_records.advance(None, migration, status, self.now)

    def test_legal(self):
        migration = self.migration('running')
        self.advance(migration, 'completed')
        self.assertEqual([(7, 'running', 'completed', self.now)], self.writes)
        self.assertEqual('completed', migration.status)
        self.assertEqual(self.now, migration.updated_at)

    def test_illegal_writes_nothing(self):
        migration = self.migration('running')
        self.assertRaises(IllegalTransition, self.advance, migration, 'queued')
        self.assertEqual('running', migration.status)
        self.assertEqual([], self.writes)

    def test_repeated_step_writes_nothing(self):
        self.advance(self.migration('running'), 'running')
        self.assertEqual([], self.writes)

    def test_changed_meanwhile(self):
        self.row_status = 'error'
        migration = self.migration('running')
        error = self.assertRaises(
            exception.Stale, self.advance, migration, 'completed'
        )
        self.assertIn('Migration 7', str(error))
        self.assertEqual('running', migration.status)

    def test_end_leaves_an_ended_one(self):
        for status in ('completed', 'cancelled', 'error'):
            migration = self.migration(status)
            migration_records.end(None, migration, 'error', self.now)
            self.assertEqual(status, migration.status)
        self.assertEqual([], self.writes)
        migration_records.end(
            None, self.migration('running'), 'error', self.now
        )
        self.assertEqual('error', self.row_status)

    def test_destination_changes_only_at_first(self):
        self.assertRaises(
            IllegalTransition,
            migration_records.change_destination,
            None,
            self.migration('running'),
            'b',
            'b.example',
            '192.0.2.2',
            self.now,
        )

    def test_other_fields_exclude_the_status(self):
        connection = mock.Mock()
        self.assertRaises(
            ValueError, migrations.update, connection, 7, {'status': 'error'}
        )
        connection.execute.assert_not_called()
