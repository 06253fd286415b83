# SPDX-License-Identifier: Apache-2.0
"""Text of users that is made to be slow, large or forged."""

import re
import time

from oslo_db import exception as db_exception
import sqlalchemy as sa

from minova.api import app
from minova.db import tables
from minova.db.queries import instances
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


class UrlTest(base.ApiTestCase):
    """URLs that are large, repeat themselves or have control characters."""

    hosts = ()

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.uuid = self.boot(wait=False)

    def test_repeated_parameter(self):
        began = time.monotonic()
        reply = self.user.get(
            '/servers?' + '&'.join(['status=ACTIVE'] * 14000)
        )
        self.assertLess(time.monotonic() - began, 2)
        self.assert_refused(414, 'longer than 16384 characters', reply)
        self.assertLess(len(self.log.output), 5000)
        reply = self.user.get('/servers?' + '&'.join(['status=A'] * 401))
        self.assert_refused(414, 'more than 400 parameters', reply)
        for name in ('status', 'sort_key', 'sort_dir'):
            query = '&'.join([f'{name}=x'] * 51)
            reply = self.user.get(f'/servers?{query}')
            self.assert_refused(400, f'{name}: must not be repeated', reply)
        query = '&'.join(['status=ACTIVE'] * 50)
        self.assertEqual(200, self.user.get(f'/servers?{query}').status)

    def test_long_values(self):
        # An unknown parameter is ignored, whatever it contains.
        self.assertEqual(200, self.user.get(f'/servers?x={"a" * 999}').status)
        for route in app.ROUTES:
            if route.method != 'GET' or '{' in route.path:
                continue
            for name in route.query.params:
                reply = self.admin.at_version(LATEST).get(
                    f'{route.path}?{name}={"a" * 3000}'
                )
                self.assertIn(reply.status, (400, 404), (route.path, name))

    def test_control_characters(self):
        for character in (
            '%00',
            '%0d%0a',
            '%1b',
            '%7f',
            '%c2%85',
            '%e2%80%a8',
        ):
            for path in (
                f'/servers/a{character}',
                f'/servers?name=a{character}',
                f'/servers?a{character}=b',
                f'/servers/{self.uuid}/tags/a{character}b',
                f'/os-keypairs/a{character}',
            ):
                for method in ('GET', 'PUT', 'DELETE'):
                    reply = self.user.at_version(LATEST).request(method, path)
                    self.assert_refused(400, 'control characters', reply)

    def test_line_breaks_in_tags(self):
        user = self.user.at_version(LATEST)
        path = f'/servers/{self.uuid}/tags'
        for tag in ('a\r\nSet-Cookie: evil=1', 'a\nb', 'a\x1bb', 'a\x85b'):
            quoted = base.falcon.uri.encode_value(tag)
            reply = user.put(f'{path}/{quoted}')
            self.assert_refused(400, 'control characters', reply)
            reply = user.put(path, {'tags': [tag]})
            self.assert_refused(400, 'a control character', reply)
            server = self.server(tags=[tag], networks='none')
            reply = user.post('/servers', {'server': server})
            self.assert_refused(400, 'a control character', reply)
        self.assertEqual([], user.get(path).body['tags'])

    def test_location_is_quoted(self):
        user = self.user.at_version(LATEST)
        path = f'/servers/{self.uuid}/tags'
        reply = user.put(f'{path}/' + base.falcon.uri.encode_value('ä "ö%0a'))
        self.assertEqual(201, reply.status, reply.body)
        self.assertEqual(['ä "ö%0a'], user.get(path).body['tags'])
        location = reply.headers['Location']
        self.assertTrue(location.isascii(), location)
        self.assertNotIn(' ', location)
        self.assertEqual(204, user.put(location.partition('/v2.1')[2]).status)

    def test_errors_quote_little(self):
        long = 'Q' * 5000
        requests = [
            ('GET', f'/{long}', None),
            ('GET', f'/servers?limit={long}', None),
            ('GET', f'/servers?{long}=1', None),
            ('GET', f'/servers/detail?sort_key={long}', None),
            ('POST', '/servers', {long: 1}),
            ('POST', '/servers', {'server': {long: long}}),
            ('POST', '/servers', {'server': self.server(name=long)}),
            ('POST', '/servers', {'server': self.server(imageRef=long)}),
            ('POST', '/servers', {'server': self.server(flavorRef=long)}),
            ('POST', '/servers', {'server': self.server(key_name=long)}),
            (
                'POST',
                '/servers',
                {'server': self.server(metadata={long: '1'})},
            ),
            ('POST', f'/servers/{self.uuid}/action', {long: long}),
            ('POST', '/os-keypairs', {'keypair': {'name': long}}),
            (
                'POST',
                '/os-keypairs',
                {'keypair': {'name': 'a', 'public_key': long}},
            ),
        ]
        requests += [
            (route.method, route.path.replace(match, long), {})
            for route in app.ROUTES
            for match in re.findall(r'\{\w+\}', route.path)
        ]
        for method, path, body in requests:
            path = re.sub(r'\{\w+\}', 'a' * 255, path)
            for client in (self.user, self.admin):
                reply = client.at_version(LATEST).request(method, path, body)
                self.assertIn(
                    reply.status, (400, 403, 404), (method, path[:80])
                )
                self.assertNotIn('Q' * 256, str(reply.body), path[:80])
                self.assertLess(len(str(reply.body)), 4096, path[:80])
        reply = self.user.at_version(long).get('/servers')
        self.assertNotIn('Q' * 256, str(reply.body))
        self.assertNotIn('Q' * 256, self.log.output)


class ImagePropertiesTest(base.ApiTestCase):
    """An image with large properties."""

    hosts = ()

    def setUp(self):
        super().setUp()
        self.make_flavor()

    def image_meta(self, uuid):
        instance = self.cloud.database.read(lambda c: instances.get(c, uuid))
        return instance.image_meta

    def test_values_are_cut(self):
        properties = {f'p{number}': 'x' * 65535 for number in range(128)}
        image = self.image_store.add(properties=properties).id
        uuid = self.boot(wait=False, imageRef=image)
        meta = self.image_meta(uuid)
        self.assertEqual({255}, {len(meta[name]) for name in properties})
        self.assertLess(len(str(meta)), 65536)

    def test_too_many(self):
        image = self.image_store.add(
            properties={f'p{number}': 'x' for number in range(129)}
        ).id
        reply = self.user.post(
            '/servers', {'server': self.server(imageRef=image)}
        )
        self.assert_refused(400, 'at most 128', reply)

    def test_long_name(self):
        image = self.image_store.add(properties={'p' * 256: 'x'}).id
        reply = self.user.post(
            '/servers', {'server': self.server(imageRef=image)}
        )
        self.assert_refused(400, 'more than 255 characters', reply)
