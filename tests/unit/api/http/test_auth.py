# SPDX-License-Identifier: Apache-2.0
"""Authentication by each strategy, and the embedded services."""

import falcon.testing

from minova import exception
from minova.api import app
from minova.api.backend import Backend
from minova.api.http import auth
from minova.cmd import wsgi
from minova.identity.embedded import Identity
from minova.images import embedded
from tests import base


class NoDatabase:
    """A resource that shows the caller of a request."""

    def read(self, work):
        raise exception.NotFound('nothing is here')

    write = read


def backend():
    return Backend(
        database=NoDatabase(),
        conductor=None,
        computes=None,
        waker=None,
        images=None,
        host='api',
    )


class AuthTestCase(base.TestCase):
    """An application without database and bus."""

    def client(self, identity=None, images=None):
        made = app.make_app(backend(), identity, images)
        self.callers = []
        made.add_middleware(_After(self.callers))
        return falcon.testing.TestClient(made)


class _After:
    def __init__(self, callers):
        self._callers = callers

    def process_request(self, req, resp):
        self._callers.append(req.context.caller)


class OpenDoorTest(base.TestCase):
    """Without authentication minova-api listens on loopback only."""

    def refuse(self, address):
        error = self.assertRaises(
            exception.ConfigInvalid, auth.refuse_open_door, address
        )
        self.assertIn('noauth2 on ', str(error))
        self.assertIn('osapi_compute_listen to a loopback', str(error))
        self.assertIn('allow_noauth2_from_network', str(error))

    def test_addresses(self):
        self.config('api', auth_strategy='noauth2')
        for address in ('127.0.0.1', '127.9.9.9', '::1'):
            auth.refuse_open_door(address)
        for address in ('0.0.0.0', '::', '192.0.2.1', '2001:db8::1', None):
            self.refuse(address)

    def test_an_explicit_option_leaves_a_warning(self):
        self.config(
            'api', auth_strategy='noauth2', allow_noauth2_from_network=True
        )
        with self.assertLogs('minova.api.http.auth', 'WARNING') as logged:
            auth.refuse_open_door('0.0.0.0')
        (line,) = logged.output
        self.assertIn('noauth2 on 0.0.0.0: every client', line)

    def test_other_strategies_listen_everywhere(self):
        for strategy in ('keystone', 'embedded'):
            self.config('api', auth_strategy=strategy)
            auth.refuse_open_door('0.0.0.0')

    def test_an_unknown_server(self):
        self.config('api', auth_strategy='noauth2')
        self.patch(wsgi, '_configure', lambda path: None)
        self.assertRaises(exception.ConfigInvalid, wsgi._get_application)


class NoneTest(AuthTestCase):
    """USER:PROJECT."""

    def test_roles(self):
        self.config('api', auth_strategy='noauth2')
        client = self.client()
        for token, roles, admin in (
            ('u:p', ['member', 'reader'], False),
            ('manager:p', ['manager', 'member', 'reader'], False),
            ('admin:p', ['admin', 'manager', 'member', 'reader'], True),
        ):
            client.simulate_get('/v2.1/x', headers={'X-Auth-Token': token})
            caller = self.callers[-1]
            self.assertEqual(roles, caller.roles)
            self.assertIs(admin, caller.is_admin)
            self.assertEqual('p', caller.project_id)

    def test_keystone_headers_are_ignored(self):
        self.config('api', auth_strategy='noauth2')
        result = self.client().simulate_get(
            '/v2.1/x',
            headers={'X-Identity-Status': 'Confirmed', 'X-User-Id': 'u'},
        )
        self.assertEqual(401, result.status_code)


class EmbeddedTest(AuthTestCase):
    """The embedded identity and image services."""

    def setUp(self):
        super().setUp()
        self.config('api', auth_strategy='embedded')
        self.identity = Identity(f'{self.directory}/identity')
        self.images = embedded.EmbeddedImages(f'{self.directory}/images')
        self.http = self.client(self.identity, self.images)

    def log_in(self, name='admin', project='admin'):
        domain = {'id': 'default'}
        result = self.http.simulate_post(
            '/identity/v3/auth/tokens',
            json={
                'auth': {
                    'identity': {
                        'methods': ['password'],
                        'password': {
                            'user': {
                                'name': name,
                                'domain': domain,
                                'password': self.identity.initial_passwords[
                                    name
                                ],
                            }
                        },
                    },
                    'scope': {'project': {'name': project, 'domain': domain}},
                }
            },
        )
        self.assertEqual(201, result.status_code, result.text)
        return result.headers['X-Subject-Token']

    def get(self, path, token=None):
        headers = {'X-Auth-Token': token} if token else {}
        return self.http.simulate_get(path, headers=headers)

    def test_tokens(self):
        admin = self.log_in()
        self.get('/v2.1/x', admin)
        caller = self.callers[-1]
        self.assertEqual('admin', caller.user_name)
        self.assertEqual('admin', caller.project_name)
        self.assertIs(True, caller.is_admin)
        self.get('/v2.1/x', self.log_in('demo', 'demo'))
        self.assertIs(False, self.callers[-1].is_admin)
        result = self.get('/v2.1/x', admin + 'x')
        self.assertEqual(401, result.status_code)

    def test_identity_headers_of_clients_are_ignored(self):
        """A client sets what only a proxy or a middleware may set."""
        admin = self.log_in()
        self.get('/v2.1/x', admin)
        other = self.callers[-1]
        spoofs = {
            'X-Identity-Status': 'Confirmed',
            'X-Service-Identity-Status': 'Confirmed',
            'X-Roles': 'admin',
            'X-Service-Roles': 'admin,service',
            'X-Is-Admin-Project': 'True',
            'X-User-Id': other.user_id,
            'X-Project-Id': other.project_id,
            'X-Tenant-Id': other.project_id,
            'OpenStack-System-Scope': 'all',
            'Remote-User': 'admin',
        }
        for path in ('/v2.1/x', '/identity/v3/users', '/image/v2/images'):
            found = self.http.simulate_get(path, headers=spoofs)
            self.assertEqual(401, found.status_code, path)
        spoofs['X-Auth-Token'] = self.log_in('demo', 'demo')
        self.http.simulate_get('/v2.1/x', headers=spoofs)
        caller = self.callers[-1]
        self.assertEqual(
            ('demo', 'demo', False, None),
            (
                caller.user_name,
                caller.project_name,
                caller.is_admin,
                caller.system_scope,
            ),
        )
        self.assertNotIn('admin', caller.roles)
        found = self.http.simulate_get('/identity/v3/users', headers=spoofs)
        self.assertEqual(403, found.status_code)

    def test_companions_answer(self):
        self.assertEqual(300, self.get('/identity').status_code)
        self.assertEqual(300, self.get('/image/').status_code)
        result = self.get('/image/v2/images', self.log_in())
        self.assertEqual([], result.json['images'])

    def test_companion_error_formats(self):
        result = self.get('/image/v2/images')
        self.assertEqual(401, result.status_code)
        self.assertEqual({'code', 'title', 'message'}, set(result.json))
        result = self.get('/identity/v3/nothing', self.log_in())
        self.assertEqual(404, result.status_code)
        self.assertEqual(404, result.json['error']['code'])
        result = self.get('/imagery', self.log_in())
        self.assertEqual(['itemNotFound'], list(result.json))

    def test_embedded_without_service_is_an_error(self):
        error = self.assertRaises(
            exception.ConfigInvalid, app.make_app, backend()
        )
        self.assertIn('[api] auth_strategy is embedded', str(error))

    def test_from_the_configuration(self):
        self.config('identity', directory=f'{self.directory}/identity')
        self.config('image', service='embedded')
        self.config('image', directory=f'{self.directory}/images')
        images = app.open_images()
        self.assertIsInstance(images, embedded.EmbeddedImages)
        made = app.make_app_from_configuration(
            Backend(NoDatabase(), None, None, None, images, 'api')
        )
        client = falcon.testing.TestClient(made)
        self.assertEqual(300, client.simulate_get('/image').status_code)
        self.assertEqual(300, client.simulate_get('/identity').status_code)


class WsgiAppTest(base.TestCase):
    """The application for other WSGI servers."""

    def test_application_is_built_once(self):
        made = []

        def answer(environ, start_response):
            return [environ['n']]

        def make(backend):
            made.append(backend)
            return answer

        self.patch(wsgi.service, 'configure', lambda argv, prog: None)
        self.patch(wsgi, '_backend', lambda: 'backend')
        self.patch(wsgi.app, 'make_app_from_configuration', make)
        self.patch(wsgi, '_application', None)
        self.assertEqual([], made)
        for number in range(3):
            reply = wsgi.application({'n': number}, None)
            self.assertEqual([number], reply)
        self.assertEqual(['backend'], made)

    def test_configuration_path(self):
        given = []
        self.patch(
            wsgi.service,
            'configure',
            lambda argv, prog: given.append(argv),
        )
        self.patch(wsgi, '_backend', lambda: 'backend')
        self.patch(
            wsgi.app,
            'make_app_from_configuration',
            lambda backend: lambda environ, start_response: [],
        )
        for value, expected in (
            (None, []),
            ('/x.conf', ['--config-file', '/x.conf']),
        ):
            self.patch(wsgi, '_application', None)
            wsgi._configure.cache_clear()
            environ = {} if value is None else {'MINOVA_CONFIG': value}
            self.patch(wsgi.os, 'environ', environ)
            wsgi.application({}, None)
            self.assertEqual(expected, given[-1])
