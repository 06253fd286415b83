# SPDX-License-Identifier: Apache-2.0
"""Malformed requests get an explanation and never a 500."""

import io
import random
import re
import string
import uuid

import orjson
from oslo_db import exception as db_exception
import sqlalchemy as sa

from minova import exception
from minova.api import app
from minova.api.resources import server_actions
from minova.db import tables
from tests.functional.api import base
from tests.functional.api.base import LATEST


class BodiesTest(base.ApiTestCase):
    """Malformed bodies."""

    hosts = ()

    def setUp(self):
        super().setUp()
        self.make_flavor()

    def post(self, raw, **headers):
        named = {name.replace('_', '-'): headers[name] for name in headers}
        return self.user.request('POST', '/servers', raw=raw, headers=named)

    def test_unsupported_fields_are_named(self):
        for path in (
            '/os-volumes_boot',
            f'/servers/{uuid.uuid4()}/os-volume_attachments',
        ):
            reply = self.user.at_version(LATEST).get(path)
            self.assert_refused(404, 'this URL has no endpoint', reply)

    def test_broken_json(self):
        for raw in (
            b'{',
            b'{"server": }',
            b'{"server": {"name": "a\x00"}}',
            b'\xff\xfe',
            b'{"a": "\xc3\x28"}',
            b'{"a": "\\ud800"}',
            b'nan',
            b'{"a": NaN}',
            b'{"a": 1e999}',
            b'[' * 100000,
            b'{"a":' * 5000 + b'1' + b'}' * 5000,
            b'{"server": {}} x',
        ):
            reply = self.post(raw)
            self.assertEqual(400, reply.status, raw[:20])
            self.assertEqual(['badRequest'], list(reply.body))

    def test_moderate_nesting_is_refused_by_schema(self):
        raw = b'{"a":' * 500 + b'1' + b'}' * 500
        self.assert_refused(400, 'lacks server', self.post(raw))

    def test_no_body(self):
        self.assert_refused(400, 'has no body', self.post(b''))

    def test_body_is_not_an_object(self):
        for raw in (b'[]', b'1', b'null', b'"x"', b'true'):
            reply = self.post(raw)
            self.assert_refused(400, 'must be of type object', reply)

    def test_too_large(self):
        self.config('api', max_request_body_size=1024)
        limit = 'larger than 1024 bytes'
        reply = self.post(b'"' + b'x' * 1023 + b'"')
        self.assert_refused(413, limit, reply)
        self.assertEqual(['overLimit'], list(reply.body))
        reply = self.post(b'"' + b'x' * 1022 + b'"')
        self.assert_refused(400, 'must be of type object', reply)

    def test_too_large_is_not_read(self):
        class Stream:
            def read(self, size=-1):
                raise AssertionError('it was read')

        self.config('api', max_request_body_size=1024)
        status, body = self.call(Stream(), CONTENT_LENGTH='1025')
        self.assertEqual('413 Content Too Large', status)
        self.assertIn('larger than 1024 bytes', body)

    def test_body_without_length_is_limited(self):
        self.config('api', max_request_body_size=1024)
        ended = {'wsgi.input_terminated': True, 'CONTENT_LENGTH': ''}
        status, _ = self.call(io.BytesIO(b'x' * 1025), **ended)
        self.assertEqual('413 Content Too Large', status)
        good = orjson.dumps({'server': self.server()})
        status, _ = self.call(io.BytesIO(good), **ended)
        self.assertEqual('202 Accepted', status)

    def call(self, stream, **environ):
        """Call the application as a WSGI server does."""
        env = base.falcon.testing.create_environ(
            path='/v2.1/servers',
            method='POST',
            headers={
                'X-Auth-Token': base.USER,
                'Content-Type': 'application/json',
            },
        )
        env['wsgi.input'] = stream
        env |= environ
        started = []
        body = self.app(env, lambda *args: started.append(args))
        return started[0][0], b''.join(body).decode()

    def test_media_types(self):
        good = orjson.dumps({'server': self.server()})
        for media_type in (
            'text/plain',
            'application/xml',
            'application/x-www-form-urlencoded',
            'application/jsonp',
            'x',
        ):
            reply = self.post(good, Content_Type=media_type)
            text = 'The Content-Type must be application/json.'
            self.assert_refused(415, text, reply)
            self.assertEqual(['badMediaType'], list(reply.body))
        for media_type in (
            'application/json; charset=utf-8',
            'Application/JSON',
        ):
            reply = self.post(good, Content_Type=media_type)
            self.assertEqual(202, reply.status, reply.body)

    def test_nul_characters(self):
        for raw in (
            rb'{"server": {"name": "a\u0000b"}}',
            rb'{"server": {"a\u0000": 1}}',
            rb'[["\u0000"]]',
        ):
            self.assert_refused(400, 'NUL characters', self.post(raw))
        # The backslash before it is escaped, so it is no escape sequence.
        raw = orjson.dumps({'server': self.server(name=r'a\u0000b')})
        self.assertEqual(202, self.post(raw).status)
        for path in ('/servers/%00', '/servers?name=%00', '/flavors/a%00'):
            reply = self.user.get(path)
            self.assert_refused(400, 'NUL', reply)

    def test_invalid_utf8_in_url(self):
        for path in (
            '/servers/%ff',
            '/servers?name=%ff%fe',
            '/flavors/%ed%a0%80',
            '/servers?marker=%ff',
        ):
            self.assertIn(self.user.get(path).status, (200, 400, 404))

    def test_very_long_urls(self):
        for path in (f'/servers/{"a" * 5000}', f'/flavors/{"é" * 2000}'):
            self.assertEqual(404, self.user.get(path).status)
        reply = self.user.get(f'/servers?host={"a" * 300}')
        self.assert_refused(400, 'not be longer than 255', reply)

    def test_unknown_field_lists_valid_fields(self):
        reply = self.post(orjson.dumps({'server': self.server(), 'x': 1}))
        self.assert_refused(
            400,
            "Invalid request body: there is no field 'x' here; the fields are "
            'OS-SCH-HNT:scheduler_hints, os:scheduler_hints, server.',
            reply,
        )

    def test_values_are_never_quoted(self):
        reply = self.post(
            orjson.dumps({'server': self.server(adminPass=['s3cret'])})
        )
        self.assert_refused(400, 'server.adminPass', reply)
        self.assertNotIn('s3cret', reply.message)


class OutageTest(base.ApiTestCase):
    """Required services are unavailable or broken."""

    hosts = ()

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.uuid = self.boot(wait=False)

    def break_database(self, error):
        def broken(*args, **kwargs):
            raise error

        sa.event.listen(
            self.cloud.database.engine, 'before_cursor_execute', broken
        )
        self.addCleanup(
            sa.event.remove,
            self.cloud.database.engine,
            'before_cursor_execute',
            broken,
        )

    def test_database_away_is_503(self):
        class Away:
            def read(self, work):
                raise exception.Unavailable(
                    what='The database', reason='10.0.0.5 refused it'
                )

            write = read

        self.backend = base.dataclasses.replace(self.backend, database=Away())
        self.restart_api()
        for reply in (
            self.user.get('/servers'),
            self.user.post('/servers', {'server': self.server()}),
            self.user.act(self.uuid, 'os-start'),
        ):
            self.assert_refused(
                503,
                'The database is unavailable at this time. Try again later.',
                reply,
            )
            self.assertEqual(['serviceUnavailable'], list(reply.body))
            self.assertNotIn('10.0.0.5', reply.message)

    def test_unexpected_error_shows_only_the_request_id(self):
        self.break_database(db_exception.DBDataError('secret of the row'))
        reply = self.user.get('/servers')
        number = reply.headers['X-OpenStack-Request-ID']
        self.assert_refused(500, f'under the request id {number}.', reply)
        self.assertEqual(['computeFault'], list(reply.body))
        self.assertNotIn('secret', reply.message)
        self.assertIn('Traceback', self.log.output)
        self.assertIn('secret of the row', self.log.output)

    def test_images_unavailable_is_503(self):
        def away(context, image_id):
            raise exception.Unavailable(what='The images', reason='x')

        self.image_store.show = away
        reply = self.user.post('/servers', {'server': self.server()})
        self.assert_refused(503, 'The images is unavailable', reply)
        self.assertEqual([self.uuid], self.ids(self.user))


class Fuzz:
    """Makes bodies: valid ones with a fault, and nonsense."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def scalar(self):
        return self.random.choice(
            [
                None,
                True,
                False,
                0,
                -1,
                1,
                2**31,
                2**63,
                -(2**63),
                1.5,
                1e300,
                '',
                ' ',
                'a',
                'None',
                'é' * 10,
                '\U0001f600',
                'a' * 300,
                '../..',
                "'; DROP TABLE instances; --",
                '%s%n',
                '\t\n',
                '9' * 30,
                '00000000-0000-0000-0000-000000000000',
                ''.join(self.random.choices(string.printable, k=8)),
            ]
        )

    def value(self, depth=0):
        kind = self.random.random()
        if depth > 3 or kind < 0.6:
            return self.scalar()
        if kind < 0.8:
            return [
                self.value(depth + 1) for _ in range(self.random.randrange(4))
            ]
        return {
            str(self.scalar()): self.value(depth + 1)
            for _ in range(self.random.randrange(4))
        }

    def like(self, schema, depth=0):
        """Return a value that matches a schema, or nearly."""
        if self.random.random() < 0.12 or depth > 6:
            return self.value()
        if 'enum' in schema:
            return self.random.choice(schema['enum'])
        kind = schema.get('type', 'object')
        if isinstance(kind, list):
            kind = self.random.choice(kind)
        if kind == 'object':
            properties = schema.get('properties', {})
            made = {
                name: self.like(inner, depth + 1)
                for name, inner in properties.items()
                if name in schema.get('required', ())
                or self.random.random() < 0.3
            }
            if self.random.random() < 0.15:
                made[str(self.scalar())] = self.value()
            return made
        if kind == 'array':
            inner = schema.get('items', {})
            count = self.random.randrange(4)
            return [self.like(inner, depth + 1) for _ in range(count)]
        if kind == 'integer':
            return self.random.choice([0, 1, 2, 100, 2**31, -1])
        if kind == 'boolean':
            return self.random.choice([True, False])
        if kind == 'null':
            return None
        return self.random.choice(['a', '1', 'x' * 20, self.scalar()])


class FuzzTest(base.ApiTestCase):
    """Random requests to every endpoint."""

    hosts = ()
    rounds = 25

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.uuid = self.boot(wait=False)
        self.fuzz = Fuzz(20261121)

    def free(self):
        """Reset the state of the servers."""
        values = {'vm_state': 'active', 'task_state': None, 'task_id': None}
        self.cloud.database.write(
            lambda c: c.execute(
                tables.instances.update().values(host='a', **values)
            )
        )

    def path(self, route):
        values = {
            'server_id': [self.uuid, self.uuid, 'x'],
            'flavor_id': ['small', 'x'],
            'service_id': ['1', 'disable', 'x'],
            'hypervisor_id': ['1', 'x'],
            'project_id': ['22222222bbbbbbbb'],
        }

        def fill(match):
            name = match[1]
            return self.fuzz.random.choice(values.get(name, ['1', 'a', 'x']))

        return re.sub(r'\{(\w+)\}', fill, route.path)

    def query(self, route):
        names = [*route.query.params, 'foo']
        chosen = self.fuzz.random.choices(names, k=2)
        return '&'.join(
            f'{name}={base.falcon.uri.encode_value(str(self.fuzz.scalar()))}'
            for name in chosen
        )

    def body(self, route):
        if route.path.endswith('/action'):
            names = sorted({*server_actions.ACTIONS} - {'forceDelete'})
            name = self.fuzz.random.choice(names)
            schemas = server_actions.ACTIONS[name].body.schemas
        else:
            schemas = route.body.schemas
        schema = schemas[self.fuzz.random.choice(sorted(schemas))]
        if self.fuzz.random.random() < 0.1:
            return self.fuzz.value()
        return self.fuzz.like(schema)

    def test_every_endpoint(self):
        # These would delete the resources of the tests.
        skipped = (
            ('DELETE', '/flavors/{flavor_id}'),
            ('DELETE', '/servers/{server_id}'),
        )
        statuses = {}
        for route in app.ROUTES:
            if (route.method, route.path) in skipped:
                continue
            for number in range(self.rounds):
                self.free()
                client = self.admin if number % 2 else self.user
                newest = int(LATEST.partition('.')[2])
                version = self.fuzz.random.randint(1, newest)
                body = self.body(route) if route.body else None
                path = f'{self.path(route)}?{self.query(route)}'
                raw = None if body is None else orjson.dumps(body)
                reply = client.at_version(f'2.{version}').request(
                    route.method, path, raw=raw
                )
                what = (route.method, path, version, raw)
                if reply.status == 503:
                    # There is no host for a console.
                    self.assertIn('he host of the server', reply.message, what)
                    continue
                self.assertLess(reply.status, 500, (what, self.log.output))
                if reply.status >= 400:
                    (error,) = reply.body.values()
                    self.assertEqual(reply.status, error['code'])
                    self.assertGreater(len(error['message']), 10, what)
                statuses.setdefault(reply.status, what)
        self.assertTrue({200, 202, 400, 403, 404} <= set(statuses), statuses)
