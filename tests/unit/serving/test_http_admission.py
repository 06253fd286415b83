# SPDX-License-Identifier: Apache-2.0
"""The application says from the headers whether a body may be read."""

import http.client
import io
import json

import falcon.testing

from minova import clock
from minova.api import app
from minova.api.http import errors
from minova.conf import CONF
from minova.identity.embedded import Identity
from minova.images import embedded
from minova.serving import http_admission
from minova.serving import http_server
from minova.serving.http_admission import Admission
from tests import base
from tests.unit.api.http.test_auth import backend


class AdmissionTestCase(base.TestCase):
    """An application with the embedded services."""

    def setUp(self):
        super().setUp()
        self.config('api', auth_strategy='embedded')
        self.identity = Identity(f'{self.directory}/identity')
        self.images = embedded.EmbeddedImages(f'{self.directory}/images')
        self.app = app.make_app(backend(), self.identity, self.images)

    def token(self):
        user = self.identity.find_user(name='demo', domain={'id': 'default'})
        project = self.identity.find_project(
            name='demo', domain={'id': 'default'}
        )
        return self.identity.issue_token(user.id, project.id)


class QuestionTest(AdmissionTestCase):
    """The answers to the HTTP server."""

    def ask(self, path, token=None):
        headers = {'X-Auth-Token': token} if token else {}
        environ = falcon.testing.create_environ(
            path, method='POST', headers=headers
        )
        environ[http_admission.ASK] = True
        environ['wsgi.input'] = None
        self.app(environ, falcon.testing.StartResponseMock())
        return http_admission.read_answer(environ)

    def test_token(self):
        self.assertIs(
            Admission.AUTHENTICATED, self.ask('/v2.1/servers', self.token())
        )

    def test_without_token(self):
        for token in (None, 'wrong', self.token() + 'x'):
            self.assertIs(Admission.REFUSED, self.ask('/v2.1/servers', token))

    def test_public(self):
        self.assertIs(Admission.PUBLIC, self.ask('/identity/v3/auth/tokens'))

    def test_client_cannot_ask(self):
        """A header gets another name in the environment."""
        environ = falcon.testing.create_environ(
            '/v2.1/servers', headers={'minova.ask_admission': '1'}
        )
        self.assertNotIn(http_admission.ASK, environ)


class ServedTest(AdmissionTestCase):
    """Bodies over a real connection."""

    def setUp(self):
        super().setUp()
        bound = http_server.listen('127.0.0.1', 0)
        self.address = bound.getsockname()
        server = http_server.HttpServer(
            self.app,
            bound,
            2,
            CONF.api.max_request_body_size,
            errors.error_body,
        )
        self.addCleanup(server.stop)
        server.start()

    def request(self, method, path, body=b'', token=None, **headers):
        headers = {
            name.replace('_', '-'): value for name, value in headers.items()
        }
        if token:
            headers['X-Auth-Token'] = token
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        self.addCleanup(connection.close)
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        return reply.status, reply.read()

    def make_image(self, token):
        form = {'name': 'x', 'disk_format': 'raw', 'container_format': 'bare'}
        status, content = self.request(
            'POST',
            '/image/v2/images',
            json.dumps(form).encode(),
            token,
            Content_Type='application/json',
        )
        self.assertEqual(201, status, content)
        return f'/image{json.loads(content)["file"]}'

    def test_upload(self):
        token = self.token()
        for body in (b'x' * (3 << 20), io.BytesIO(b'x' * (3 << 20))):
            # A file is sent in chunks.
            path = self.make_image(token)
            status, content = self.request(
                'PUT',
                path,
                body,
                token,
                Content_Type='application/octet-stream',
            )
            self.assertEqual(204, status, content)
            status, content = self.request('GET', path, token=token)
            self.assertEqual(b'x' * (3 << 20), content)

    def test_upload_above_the_limit_of_images(self):
        self.config('image', max_upload_bytes=1 << 20)
        token = self.token()
        status, _ = self.request(
            'PUT',
            self.make_image(token),
            b'x' * (2 << 20),
            token,
            Content_Type='application/octet-stream',
        )
        self.assertEqual(413, status)

    def test_anonymous_upload(self):
        path = self.make_image(self.token())
        status, content = self.request('PUT', path, b'x' * 300_000)
        self.assertEqual(401, status, content)

    def test_limit_of_other_bodies(self):
        status, content = self.request(
            'POST',
            '/v2.1/servers',
            b'x' * 200_000,
            self.token(),
            Content_Type='application/json',
        )
        self.assertEqual(413, status, content)

    def test_anonymous_body(self):
        """50 GB are announced; the answer does not wait for them."""
        status, _ = self.request(
            'POST', '/v2.1/servers', Content_Length='50000000000'
        )
        self.assertEqual(401, status)

    def test_login_in_pieces(self):
        def pieces():
            yield b'{"auth": '
            clock.sleep(0.2)
            yield b'{}}'

        status, _ = self.request(
            'POST',
            '/identity/v3/auth/tokens',
            pieces(),
            Content_Type='application/json',
        )
        self.assertEqual(400, status)
