# SPDX-License-Identifier: Apache-2.0
"""Text of users that is made to be slow, large or forged."""

import time

from oslo_db import exception as db_exception
import sqlalchemy as sa

from minova.db import tables
from tests.functional.api import base
from tests.functional.api.base import LATEST

#: Expressions that occupy an engine with backtracking for seconds to hours.
HOSTILE = (
    'a*a*a*a*b',
    'a*a*a*a*[^a]',
    '(a.|.a)' * 20 + '[^a]',
    'a?' * 60 + 'a' * 60 + '[^a]',
    '(a|aa|aaa|aaaa)' * 15 + '[^a]',
    '(a{1,99}|b)' * 4 + '[^a]',
    '.{255}.{255}.{255}[^a]',
)


class RegularExpressionsTest(base.ApiTestCase):
    """The filters of servers, on SQLite."""

    hosts = ()

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.make_network()
        self.uuid = self.boot(wait=False)
        self.cloud.database.write(
            lambda c: c.execute(
                tables.instances.update().values(
                    display_name='a' * 255, display_description='a' * 255
                )
            )
        )

    def test_hostile_filters_are_fast(self):
        for name in ('name', 'description', 'ip', 'ip6'):
            for pattern in HOSTILE:
                quoted = base.falcon.uri.encode_value(pattern)
                began = time.monotonic()
                reply = self.admin.get(
                    f'/servers?all_tenants=1&{name}={quoted}'
                )
                self.assertLess(time.monotonic() - began, 2, (name, pattern))
                self.assertIn(reply.status, (200, 400))
                if reply.status == 200 and not name.startswith('ip'):
                    self.assertEqual([], reply.body['servers'])

    def test_meaning(self):
        for pattern, found in (
            ('a', True),
            ('^a{3}', True),
            ('^a+$', True),
            ('A', False),
            ('[^a]', False),
            ('(b|aa)$', True),
            (r'\w', True),
        ):
            quoted = base.falcon.uri.encode_value(pattern)
            reply = self.user.get(f'/servers?name={quoted}')
            self.assertEqual(found, bool(reply.body['servers']), pattern)
        # The description may be null.
        self.cloud.database.write(
            lambda c: c.execute(
                tables.instances.update().values(display_description=None)
            )
        )
        reply = self.admin.get('/servers?all_tenants=1&description=a')
        self.assertEqual([], reply.body['servers'])

    def test_user_data_of_blanks(self):
        for text in (' ' * 65000 + '!', '=' * 65000 + '!', 'a' * 65000 + '!'):
            server = self.server(user_data=text)
            began = time.monotonic()
            reply = self.user.post('/servers', {'server': server})
            self.assertLess(time.monotonic() - began, 2, text[:5])
            self.assert_refused(400, 'user_data: must be', reply)

    def test_lost_database_is_no_fault_of_the_filter(self):
        self.break_statements()
        reply = self.user.at_version(LATEST).get('/servers?name=a')
        self.assertEqual(503, reply.status, reply.body)

    def break_statements(self):
        def broken(connection, cursor, statement, *more):
            if 'REGEXP' in statement:
                raise db_exception.DBConnectionError('gone')

        engine = self.cloud.database.engine
        sa.event.listen(engine, 'before_cursor_execute', broken)
        self.addCleanup(
            sa.event.remove, engine, 'before_cursor_execute', broken
        )
