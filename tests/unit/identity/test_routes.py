# SPDX-License-Identifier: Apache-2.0
"""The embedded Identity v3 over HTTP."""

import datetime
import http
import json

from minova.identity import embedded
from minova.identity import routes
from tests.unit.identity import base
from tests.unit.identity import test_embedded

TOKENS = '/identity/v3/auth/tokens'
HOST = 'http://cloud:8774'
DEFAULT = {'name': 'Default'}


class RoutesTestCase(test_embedded.StoreTestCase):
    def setUp(self):
        super().setUp()
        self.client = base.client(
            routes.routes(self.store), routes.error_body, self._who
        )

    def _who(self, req):
        if (req.method, req.path) in routes.PUBLIC:
            return None
        return self.store.find_token(req.get_header('X-Auth-Token') or '')

    def request(self, method, path, token=None, **arguments):
        headers = {'Host': 'cloud:8774', **arguments.pop('headers', {})}
        if token is not None:
            headers['X-Auth-Token'] = token
        return self.client.simulate_request(
            method, path, headers=headers, **arguments
        )

    def token(self, user='admin', project='admin'):
        project_id = project and self.project(project).id
        return self.store.issue_token(self.user(user).id, project_id)

    def body(self, scope=None, **user):
        identity = {
            'methods': ['password'],
            'password': {
                'user': {
                    'name': 'demo',
                    'domain': DEFAULT,
                    'password': self.passwords['demo'],
                    **user,
                }
            },
        }
        auth = {'identity': identity}
        if scope is not None:
            auth['scope'] = scope
        return {'auth': auth}

    def login(self, body):
        return self.request(
            'POST',
            TOKENS,
            body=json.dumps(body),
            headers={'Content-Type': 'application/json'},
        )

    def assert_error(self, status, answer):
        self.assertEqual(status, answer.status_code, answer.text)
        error = answer.json['error']
        self.assertEqual(status, error['code'])
        self.assertEqual(http.HTTPStatus(status).phrase, error['title'])
        self.assertTrue(error['message'])
        return error['message']


class VersionTest(RoutesTestCase):
    def test_versions(self):
        for path in ('/identity', '/identity/'):
            answer = self.request('GET', path)
            self.assertEqual(300, answer.status_code)
            (version,) = answer.json['versions']['values']
            self.assertEqual(
                [{'rel': 'self', 'href': f'{HOST}/identity/v3/'}],
                version['links'],
            )

    def test_version(self):
        for path in ('/identity/v3', '/identity/v3/'):
            version = self.request('GET', path).json['version']
            self.assertEqual('stable', version['status'])
            self.assertTrue(version['id'].startswith('v3.'))

    def test_link_prefix_precedes_host_header(self):
        self.config.config(group='api', compute_link_prefix='https://outside/')
        version = self.request('GET', '/identity/v3').json['version']
        self.assertEqual(
            'https://outside/identity/v3/', version['links'][0]['href']
        )


class LoginTest(RoutesTestCase):
    def test_unscoped(self):
        answer = self.login(self.body())
        self.assertEqual(201, answer.status_code)
        token = answer.json['token']
        self.assertEqual(
            {
                'methods',
                'user',
                'audit_ids',
                'issued_at',
                'expires_at',
            },
            set(token),
        )
        self.assertEqual(
            {
                'id': self.demo.id,
                'name': 'demo',
                'domain': {'id': 'default', 'name': 'Default'},
                'password_expires_at': None,
            },
            token['user'],
        )
        found = self.store.validate_token(answer.headers['X-Subject-Token'])
        self.assertEqual([found.audit_id], token['audit_ids'])
        self.assertEqual(['password'], token['methods'])
        form = '%Y-%m-%dT%H:%M:%S.%fZ'
        issued, expires = (
            datetime.datetime.strptime(token[name], form)
            for name in ('issued_at', 'expires_at')
        )
        self.assertEqual(datetime.timedelta(days=1), expires - issued)

    def test_scoped(self):
        demo = self.project('demo')
        for project in (
            {'id': demo.id},
            {'name': 'demo', 'domain': DEFAULT},
            {'name': 'demo', 'domain': {'id': 'default'}},
        ):
            answer = self.login(self.body({'project': project}))
            self.assertEqual(201, answer.status_code)
            token = answer.json['token']
            self.assertEqual(
                {
                    'id': demo.id,
                    'name': 'demo',
                    'domain': {'id': 'default', 'name': 'Default'},
                },
                token['project'],
            )
            self.assertIs(False, token['is_domain'])
            self.assertEqual(
                ['member', 'reader'], [one['name'] for one in token['roles']]
            )
            self.assertEqual(self.store.catalog(HOST), token['catalog'])

    def test_by_user_id(self):
        body = self.body()
        body['auth']['identity']['password']['user'] = {
            'id': self.demo.id,
            'password': self.passwords['demo'],
        }
        self.assertEqual(201, self.login(body).status_code)

    def test_explicitly_unscoped(self):
        answer = self.login(self.body('unscoped'))
        self.assertEqual(201, answer.status_code)
        self.assertNotIn('project', answer.json['token'])

    def test_with_a_token(self):
        first = self.token('demo', None)
        answer = self.login(
            {
                'auth': {
                    'identity': {'methods': ['token'], 'token': {'id': first}},
                    'scope': {'project': {'id': self.project('demo').id}},
                }
            }
        )
        self.assertEqual(201, answer.status_code)
        token = answer.json['token']
        self.assertEqual(['token', 'password'], token['methods'])
        self.assertEqual(
            self.store.validate_token(first).audit_id, token['audit_ids'][1]
        )

    def test_wrong_is_401(self):
        for body in (
            self.body(password='no'),
            self.body(name='unknown'),
            self.body(domain={'name': 'Other'}),
            self.body(domain={'id': 'other'}),
            self.body({'project': {'id': 'nothing'}}),
            self.body({'project': {'name': 'nothing', 'domain': DEFAULT}}),
            self.body({'project': {'id': self.project('admin').id}}),
            self.body({'project': {'name': 'admin', 'domain': DEFAULT}}),
        ):
            message = self.assert_error(401, self.login(body))
            # The reply does not reveal which users exist.
            self.assertEqual(
                'The request you have made requires authentication.', message
            )

    def test_unsupported_method_is_named(self):
        for scope in (
            {'domain': {'id': 'default'}},
            {'system': {'all': True}},
            {'OS-TRUST:trust': {'id': 'x'}},
        ):
            message = self.assert_error(401, self.login(self.body(scope)))
            self.assertIn('project', message)
        body = self.body()
        body['auth']['identity']['methods'] = ['totp']
        self.assertIn('password', self.assert_error(401, self.login(body)))

    def test_two_methods_of_different_users(self):
        body = self.body()
        identity = body['auth']['identity']
        identity['methods'] = ['password', 'token']
        identity['token'] = {'id': self.token('admin', None)}
        self.assert_error(401, self.login(body))
        identity['token'] = {'id': self.token('demo', None)}
        self.assertEqual(201, self.login(body).status_code)

    def test_invalid_token_is_401_everywhere(self):
        for text in ('', 'x', 'x.y'):
            body = {
                'auth': {
                    'identity': {'methods': ['token'], 'token': {'id': text}}
                }
            }
            self.assert_error(401, self.login(body))

    def test_invalid_body_is_400_with_path(self):
        no_password = self.body()
        del no_password['auth']['identity']['password']['user']['password']
        no_domain = self.body()
        del no_domain['auth']['identity']['password']['user']['domain']
        no_method = self.body()
        no_method['auth']['identity']['methods'] = []
        unnamed = self.body()
        unnamed['auth']['identity']['methods'] = ['password', 'token']
        for place, body in (
            ('auth', {}),
            ('the body', []),
            ('the body', None),
            ('the body', 'x'),
            ('the body', 10**300),
            ('auth', {'auth': None}),
            ('identity', {'auth': {}}),
            ('auth/identity', {'auth': {'identity': []}}),
            ('methods', {'auth': {'identity': {}}}),
            ('methods', {'auth': {'identity': {'methods': 'password'}}}),
            ('methods/0', {'auth': {'identity': {'methods': [1]}}}),
            ('methods', {'auth': {'identity': {'methods': ['x'] * 9}}}),
            ('methods', no_method),
            ('password', {'auth': {'identity': {'methods': ['password']}}}),
            ('token', unnamed),
            ('password', no_password),
            ('domain', no_domain),
            ('user/name', self.body(name=['demo'])),
            ('user/name', self.body(name='')),
            ('user/name', self.body(name='x' * 256)),
            ('user/password', self.body(password=17)),
            ('user/password', self.body(password=None)),
            ('user/password', self.body(password='x' * 5000)),
            ('user/domain', self.body(domain='Default')),
            ('domain', self.body(domain={})),
            ('domain/id', self.body(domain={'id': {}})),
            ('scope', self.body('system')),
            ('scope', self.body([])),
            ('scope', self.body({})),
            ('scope/project', self.body({'project': 'demo'})),
            ('scope/project', self.body({'project': {}})),
            ('scope/project', self.body({'project': {'name': 'demo'}})),
            ('project/id', self.body({'project': {'id': 1}})),
        ):
            message = self.assert_error(400, self.login(body))
            self.assertIn(place, message)

    def test_errors_hide_the_password(self):
        for password in (123454321, ['a secret'], 'a secret' * 1000):
            answer = self.login(self.body(password=password))
            self.assert_error(400, answer)
            self.assertNotIn('12345', answer.text)
            self.assertNotIn('secret', answer.text)

    def test_invalid_json_is_400(self):
        for content in (
            b'',
            b'{',
            b'\xff\xfe\x00',
            b'"\\ud800"',
            b'[' * 50000,
            b'1' * 50000,
        ):
            answer = self.request(
                'POST',
                TOKENS,
                body=content,
                headers={'Content-Type': 'application/json'},
            )
            self.assertIn('JSON', self.assert_error(400, answer))

    def test_another_content_type_is_400(self):
        for kind in ('text/plain', 'application/x-www-form-urlencoded', ''):
            answer = self.request(
                'POST',
                TOKENS,
                body=json.dumps(self.body()),
                headers={'Content-Type': kind},
            )
            self.assertIn('application/json', self.assert_error(400, answer))
        answer = self.request(
            'POST',
            TOKENS,
            body=json.dumps(self.body()),
            headers={'Content-Type': 'Application/JSON; charset=UTF-8'},
        )
        self.assertEqual(201, answer.status_code)

    def test_large_body_is_413(self):
        self.config.config(group='api', max_request_body_size=1024)
        answer = self.login(self.body(password='x' * 1024))
        self.assertIn('1024', self.assert_error(413, answer))


class TokenTest(RoutesTestCase):
    def _request_token(self, method, token, subject, **arguments):
        return self.request(
            method,
            TOKENS,
            token,
            headers={'X-Subject-Token': subject},
            **arguments,
        )

    def test_shown(self):
        subject = self.token('demo', 'demo')
        for asker in (subject, self.token()):
            answer = self._request_token('GET', asker, subject)
            self.assertEqual(200, answer.status_code)
            self.assertEqual(subject, answer.headers['X-Subject-Token'])
            token = answer.json['token']
            self.assertEqual('demo', token['user']['name'])
            self.assertEqual(4, len(token['catalog']))

    def test_without_the_catalog(self):
        token = self.token()
        answer = self._request_token(
            'GET', token, token, params={'nocatalog': ''}
        )
        self.assertNotIn('catalog', answer.json['token'])
        self.assertIn('roles', answer.json['token'])

    def test_checked(self):
        token = self.token()
        answer = self._request_token('HEAD', token, token)
        self.assertEqual(200, answer.status_code)
        self.assertEqual('', answer.text)
        self.assertEqual(
            404, self._request_token('HEAD', token, 'x').status_code
        )

    def test_revoked(self):
        token, subject = self.token(), self.token('demo', 'demo')
        self.assertEqual(
            204, self._request_token('DELETE', token, subject).status_code
        )
        self.assert_error(404, self._request_token('DELETE', token, subject))
        self.assert_error(404, self._request_token('GET', token, subject))
        self.assert_error(401, self._request_token('GET', subject, token))

    def test_other_user_is_forbidden(self):
        token, subject = self.token('demo', 'demo'), self.token()
        for method in ('GET', 'DELETE'):
            self.assert_error(403, self._request_token(method, token, subject))
        self.assertEqual(
            403, self._request_token('HEAD', token, subject).status_code
        )
        self.store.validate_token(subject)

    def test_without_a_subject(self):
        self.assert_error(404, self.request('GET', TOKENS, self.token()))

    def test_anonymous_is_refused(self):
        self.assert_error(401, self._request_token('GET', None, self.token()))


class ListTest(RoutesTestCase):
    def get(self, path, token=None, **params):
        return self.request(
            'GET',
            f'/identity/v3/{path}',
            token or self.token(),
            params=params,
        )

    def test_each_type_is_listed_and_shown(self):
        for plural, singular, count in (
            ('projects', 'project', 2),
            ('users', 'user', 2),
            ('domains', 'domain', 1),
            ('roles', 'role', 5),
            ('services', 'service', 4),
            ('endpoints', 'endpoint', 12),
            ('regions', 'region', 1),
        ):
            answer = self.get(plural)
            self.assertEqual(
                {
                    'self': f'{HOST}/identity/v3/{plural}',
                    'previous': None,
                    'next': None,
                },
                answer.json['links'],
            )
            rows = answer.json[plural]
            self.assertEqual(count, len({row['id'] for row in rows}))
            for row in rows:
                url = f'{HOST}/identity/v3/{plural}/{row["id"]}'
                self.assertEqual(url, row['links']['self'])
                shown = self.get(f'{plural}/{row["id"]}').json[singular]
                self.assertEqual(row, shown)
            missing = self.get(f'{plural}/nothing')
            self.assertIn('nothing', self.assert_error(404, missing))

    def test_filters(self):
        for kind, params, names in (
            ('projects', {'name': 'demo'}, ['demo']),
            ('projects', {'name': 'nothing'}, []),
            (
                'projects',
                {'name': 'demo', 'domain_id': 'default'},
                ['demo'],
            ),
            ('projects', {'name': 'demo', 'domain_id': 'other'}, []),
            ('projects', {'enabled': 'True'}, ['admin', 'demo']),
            ('projects', {'enabled': '0'}, []),
            ('projects', {'unknown': 'x'}, ['admin', 'demo']),
            ('projects', {'name': ['demo', 'admin']}, ['admin', 'demo']),
            ('users', {'name': 'admin'}, ['admin']),
            ('services', {'type': 'image'}, ['minova-image']),
        ):
            rows = self.get(kind, **params).json[kind]
            self.assertEqual(names, sorted(row['name'] for row in rows))
        rows = self.get('endpoints', interface='public').json['endpoints']
        self.assertEqual(4, len(rows))

    def test_member_sees_itself_and_its_project(self):
        token = self.token('demo', 'demo')
        for kind in (
            'projects',
            'users',
            'domains',
            'roles',
            'services',
            'endpoints',
            'role_assignments',
        ):
            message = self.assert_error(403, self.get(kind, token))
            self.assertIn(f'identity:list_{kind}', message)
        for path in (
            f'projects/{self.project("demo").id}',
            f'users/{self.demo.id}',
            'domains/default',
            'regions',
            'regions/RegionOne',
        ):
            self.assertEqual(200, self.get(path, token).status_code, path)
        for path in (
            f'projects/{self.project("admin").id}',
            f'users/{self.admin.id}',
            f'users/{self.admin.id}/projects',
            'users/nothing',
            'roles/nothing',
        ):
            self.assert_error(403, self.get(path, token))

    def test_projects_of_a_user(self):
        demo = [self.project('demo').id]
        token = self.token('demo', None)
        for path, asker, wanted in (
            ('auth/projects', token, demo),
            (f'users/{self.demo.id}/projects', token, demo),
            (f'users/{self.demo.id}/projects', self.token(), demo),
            (
                'auth/projects',
                self.token(),
                [self.project('admin').id, *demo],
            ),
        ):
            rows = self.get(path, asker).json['projects']
            self.assertEqual(wanted, [row['id'] for row in rows])
        self.assert_error(404, self.get('users/nothing/projects'))

    def test_catalog(self):
        answer = self.get('auth/catalog', self.token('demo', 'demo'))
        self.assertEqual(self.store.catalog(HOST), answer.json['catalog'])
        answer = self.get('auth/catalog', self.token('demo', None))
        self.assertIn('unscoped', self.assert_error(403, answer))

    def test_role_assignments(self):
        rows = self.get('role_assignments').json['role_assignments']
        self.assertEqual(3, len(rows))
        rows = self.get(
            'role_assignments',
            **{'user.id': self.demo.id, 'include_names': 'true'},
        ).json['role_assignments']
        (row,) = rows
        self.assertEqual('member', row['role']['name'])
        domain = {'id': 'default', 'name': 'Default'}
        self.assertEqual(
            {'id': self.demo.id, 'name': 'demo', 'domain': domain},
            row['user'],
        )
        self.assertEqual('demo', row['scope']['project']['name'])
        self.assertIn(self.demo.id, row['links']['assignment'])
        rows = self.get(
            'role_assignments',
            **{
                'scope.project.id': self.project('demo').id,
                'role.id': row['role']['id'],
            },
        ).json['role_assignments']
        self.assertEqual([{'id': self.demo.id}], [r['user'] for r in rows])

    def test_anonymous_sees_nothing(self):
        for path in (
            'projects',
            'projects/x',
            'users/x/projects',
            'auth/projects',
            'auth/catalog',
            'role_assignments',
        ):
            answer = self.request('GET', f'/identity/v3/{path}')
            self.assert_error(401, answer)


class ErrorBodyTest(base.TestCase):
    def test_unknown_http_status(self):
        self.assertEqual(
            {'error': {'code': 599, 'message': 'x', 'title': '599'}},
            routes.error_body(599, 'x'),
        )


class RouteTableTest(RoutesTestCase):
    def test_public_paths_exist(self):
        templates = {template for template, _ in routes.routes(self.store)}
        self.assertLessEqual({path for _, path in routes.PUBLIC}, templates)

    def test_token_of_another_directory(self):
        other = embedded.Identity(self.file('other'))
        user = other.find_user(name='admin', domain={'id': 'default'})
        answer = self.request(
            'GET', '/identity/v3/auth/projects', other.issue_token(user.id)
        )
        self.assert_error(401, answer)
