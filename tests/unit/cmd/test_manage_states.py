# SPDX-License-Identifier: Apache-2.0
"""minova-manage states: tables and diagrams hold what the code holds."""

import contextlib
import io

from minova import migration_states
from minova import states
from minova.cmd import manage
from tests import base


class StatesTest(base.TestCase):
    """What the commands print."""

    def run_command(self, *words):
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            self.assertEqual(0, manage.main(['states', *words]))
        return output.getvalue().splitlines()

    def test_instance_table(self):
        lines = self.run_command('table')
        self.assertEqual(
            ['operation', *states.TABLE], [line.split()[0] for line in lines]
        )

    def test_migration_table(self):
        lines = self.run_command('table', 'migration')
        self.assertEqual(
            ['status', *migration_states.TABLE],
            [line.split()[0] for line in lines],
        )

    def test_names(self):
        lines = {
            tuple(line.split()) for line in self.run_command('table', 'names')
        }
        for row in (
            ('active', '-', 'ACTIVE', 'running'),
            ('active', 'powering-off', 'ACTIVE', 'stopping'),
            ('active', 'migrating', 'MIGRATING', 'running'),
            ('building', '-', 'BUILD', 'pending'),
            ('error', 'deleting', 'ERROR', 'shutting-down'),
            ('deleted', '-', 'DELETED', 'terminated'),
        ):
            self.assertIn(row, lines)

    def test_rst(self):
        for table in ('instance', 'migration', 'names'):
            lines = self.run_command('table', table, '--rst')
            self.assertEqual(set('= '), set(lines[0]))
            self.assertEqual([lines[0]] * 2, [lines[2], lines[-1]])

    def test_diagrams(self):
        instance = self.run_command('draw')
        self.assertIn('  "resized" -> "active" [label="', '\n'.join(instance))
        migration = self.run_command('draw', 'migration')
        self.assertIn('  "queued" -> "preparing";', migration)
        self.assertIn('  "running" -> "cancelled" [style=dashed];', migration)
        self.assertIn('  "completed" [peripheries=2];', migration)
        self.assertEqual('}', migration[-1])
