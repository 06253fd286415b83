# SPDX-License-Identifier: Apache-2.0
"""The number of SQL statements of each request has a limit."""

import contextlib

import sqlalchemy as sa

from minova.db import tables
from tests.functional.api import base
from tests.functional.api.base import LATEST


class BudgetTest(base.ApiTestCase):
    """Counts the statements of the database."""

    hosts = ()

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.uuid = self.boot(wait=False)
        self.free()
        self.statements = []
        sa.event.listen(
            self.cloud.database.engine, 'before_cursor_execute', self.note
        )
        self.addCleanup(
            sa.event.remove,
            self.cloud.database.engine,
            'before_cursor_execute',
            self.note,
        )

    def note(self, connection, cursor, statement, *rest):
        # Only SQLite needs an explicit begin.
        if not statement.startswith('BEGIN'):
            self.statements.append(statement)

    def free(self, **columns):
        values = {'vm_state': 'active', 'task_state': None, 'task_id': None}
        values['host'] = 'a'
        self.cloud.database.write(
            lambda c: c.execute(
                tables.instances.update().values(values | columns)
            )
        )

    @contextlib.contextmanager
    def at_most(self, count):
        self.statements.clear()
        yield
        self.assertLessEqual(
            len(self.statements), count, '\n'.join(self.statements)
        )

    def test_show(self):
        for client in (self.user, self.admin.at_version(LATEST)):
            with self.at_most(1):
                reply = client.get(f'/servers/{self.uuid}')
            self.assertEqual(200, reply.status)
        self.free(vm_state='error')
        with self.at_most(2):
            self.user.get(f'/servers/{self.uuid}')

    def test_lists_do_not_grow_with_their_length(self):
        for _ in range(5):
            self.boot(wait=False)
        self.free()
        with self.at_most(1):
            self.user.get('/servers/detail')
        with self.at_most(2):
            self.admin.at_version(LATEST).get('/servers/detail?all_tenants=1')
        self.free(vm_state='error')
        with self.at_most(2):
            self.user.get('/servers/detail')

    def test_create(self):
        # Four for the quota: limits, lock, usage, servers being resized.
        self.config('quota', instances=10)
        with self.at_most(6 + 4):
            self.boot(wait=False)

    def test_create_several(self):
        self.config('quota', instances=10)
        with self.at_most(2 + 3 * 4 + 4):
            self.boot(wait=False, min_count=3)

    def test_create_without_limits(self):
        self.config('quota', ports=-1)
        with self.at_most(6 + 2):
            self.boot(wait=False)

    def test_create_on_a_network(self):
        # The used addresses and MACs, and the new ones; the limits, the lock
        # and the ports of the project.
        self.make_network()
        with self.at_most(9 + 3):
            self.boot(wait=False)
        with self.at_most(5 + 3 * 4 + 3):
            self.boot(wait=False, min_count=3)

    def test_actions(self):
        for action, content in (
            ('os-stop', None),
            ('pause', None),
            ('reboot', {'type': 'HARD'}),
            ('reboot', {'type': 'SOFT'}),
        ):
            self.free()
            with self.at_most(6):
                reply = self.user.act(self.uuid, action, content)
            self.assertEqual(202, reply.status, reply.body)

    def test_migrations(self):
        self.config('quota', cores=20)
        self.make_flavor('big', disk=2)
        self.make_flavor('wide', disk=2, vcpus=2)
        for action, content, count in (
            ('migrate', None, 6),
            ('resize', {'flavorRef': 'big'}, 7 + 2),
            ('resize', {'flavorRef': 'wide'}, 7 + 4),
        ):
            self.free()
            with self.at_most(count):
                reply = self.admin.act(self.uuid, action, content)
            self.assertEqual(202, reply.status, reply.body)

    def test_refusals_write_nothing(self):
        with self.at_most(1):
            reply = self.user.act(self.uuid, 'os-start')
        self.assertEqual(409, reply.status)
        (only,) = self.statements
        self.assertTrue(only.startswith('SELECT'), only)
