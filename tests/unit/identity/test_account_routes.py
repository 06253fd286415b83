# SPDX-License-Identifier: Apache-2.0
"""Domains, projects, users and roles over HTTP."""

import errno
import json
from unittest import mock

from minova import atomic_files
from tests.unit.identity import test_routes

PASSWORDS = 'a secret', 'another secret'


class AccountsTestCase(test_routes.RoutesTestCase):
    def send(self, method, path, body=None, token=None):
        """Send a request of an administrator, or with another token."""
        arguments = {}
        if body is not None:
            arguments = {
                'body': json.dumps(body),
                'headers': {'Content-Type': 'application/json'},
            }
        return self.request(
            method,
            f'/identity/v3/{path}',
            self.token() if token is None else token,
            **arguments,
        )

    def create(self, kind, **values):
        """Create a row; return its document."""
        answer = self.send('POST', f'{kind}s', {kind: values})
        self.assertEqual(201, answer.status_code, answer.text)
        return answer.json[kind]

    def change(self, kind, row, **values):
        """Change a row; return its document."""
        path = f'{kind}s/{row["id"]}'
        answer = self.send('PATCH', path, {kind: values})
        self.assertEqual(200, answer.status_code, answer.text)
        return answer.json[kind]


class ProjectsTest(AccountsTestCase):
    def test_life(self):
        made = self.create(
            'project', name='lab', description='x', tags=['a'], floor=3
        )
        url = f'{test_routes.HOST}/identity/v3/projects/{made["id"]}'
        self.assertEqual(
            {
                'id': made['id'],
                'name': 'lab',
                'domain_id': 'default',
                'parent_id': 'default',
                'description': 'x',
                'enabled': True,
                'is_domain': False,
                'options': {},
                'tags': ['a'],
                'floor': 3,
                'links': {'self': url},
            },
            made,
        )
        path = f'projects/{made["id"]}'
        self.assertEqual(made, self.send('GET', path).json['project'])
        (listed,) = self.send('GET', 'projects?tags=a').json['projects']
        self.assertEqual(made, listed)
        changed = self.change(
            'project', made, name='hall', enabled=False, floor=None, tags=[]
        )
        self.assertEqual(
            ('hall', False, [], 'x'),
            tuple(
                changed[name]
                for name in ('name', 'enabled', 'tags', 'description')
            ),
        )
        self.assertNotIn('floor', changed)
        self.assertEqual(204, self.send('DELETE', path).status_code)
        self.assert_error(404, self.send('DELETE', path))
        self.assert_error(404, self.send('GET', path))
        self.assert_error(404, self.send('PATCH', path, {'project': {}}))

    def test_null_values(self):
        made = self.create(
            'project', name='lab', description=None, domain_id=None, x=None
        )
        self.assertEqual('', made['description'])
        self.assertNotIn('x', made)
        self.change('project', made, domain_id='default', id=made['id'])

    def test_wrong_values(self):
        for values, status, text in (
            ({}, 400, 'name'),
            ({'name': ''}, 400, 'name'),
            ({'name': '  '}, 400, 'name'),
            ({'name': 'x' * 65}, 400, 'name'),
            ({'name': 3}, 400, 'name'),
            ({'name': 'x', 'enabled': 'yes'}, 400, 'enabled'),
            ({'name': 'x', 'description': 'x' * 4097}, 400, 'description'),
            ({'name': 'x', 'tags': ['a', 'a']}, 400, 'tags'),
            ({'name': 'x', 'tags': ['a,b']}, 400, 'tags'),
            ({'name': 'x', 'tags': ['a'] * 81}, 400, 'tags'),
            ({'name': 'x', 'is_domain': True}, 400, 'is_domain'),
            ({'name': 'x', 'parent_id': 'y'}, 400, 'nested'),
            ({'name': 'x', 'options': {'immutable': True}}, 400, 'options'),
            ({'name': 'x', 'extra': {'a': 'b'}}, 400, 'extra'),
            ({'name': 'x', 'extra': 'x' * 4097}, 400, 'extra'),
            ({'name': 'x', 'extra': 1 << 70}, 400, 'extra'),
            (
                {'name': 'x'} | {f'a{n}': n for n in range(64)},
                400,
                'project',
            ),
            ({'name': 'x', 'domain_id': 'other'}, 404, 'other'),
            ({'name': 'demo'}, 409, 'demo'),
        ):
            answer = self.send('POST', 'projects', {'project': values})
            self.assertIn(text, self.assert_error(status, answer))
        for body in ([], {}, {'project': []}, {'user': {}}):
            self.assert_error(400, self.send('POST', 'projects', body))
        path = f'projects/{self.project("demo").id}'
        for values, status in (
            ({'id': 'other'}, 400),
            ({'domain_id': 'other'}, 400),
            ({'name': 'admin'}, 409),
            ({'name': None}, 400),
        ):
            answer = self.send('PATCH', path, {'project': values})
            self.assert_error(status, answer)
        self.assertEqual(2, len(self.store.accounts.projects))


class UsersTest(AccountsTestCase):
    def test_life(self):
        made = self.create(
            'user',
            name='ann',
            password=PASSWORDS[0],
            email='a@b',
            description='x',
            default_project_id=self.project('demo').id,
        )
        self.assertEqual(
            {
                'id': made['id'],
                'name': 'ann',
                'domain_id': 'default',
                'default_project_id': self.project('demo').id,
                'email': 'a@b',
                'description': 'x',
                'enabled': True,
                'options': {},
                'password_expires_at': None,
                'links': made['links'],
            },
            made,
        )
        log_in = self.login(self.body(name='ann', password=PASSWORDS[0]))
        self.assertEqual(201, log_in.status_code)
        changed = self.change(
            'user', made, password=PASSWORDS[1], default_project_id=None
        )
        self.assertNotIn('default_project_id', changed)
        log_in = self.login(self.body(name='ann', password=PASSWORDS[0]))
        self.assertEqual(401, log_in.status_code)
        log_in = self.login(self.body(name='ann', password=PASSWORDS[1]))
        self.assertEqual(201, log_in.status_code)
        path = f'users/{made["id"]}'
        self.assertEqual(204, self.send('DELETE', path).status_code)
        token = log_in.headers['X-Subject-Token']
        self.assert_error(401, self.send('GET', 'auth/projects', token=token))
        self.assert_error(404, self.send('DELETE', path))

    def test_no_reply_has_a_password(self):
        made = self.create('user', name='ann', password=PASSWORDS[0])
        for answer in (
            self.send('GET', 'users'),
            self.send('GET', f'users/{made["id"]}'),
        ):
            self.assertNotIn('password"', answer.text)
            self.assertNotIn(self.user('ann').password.digest, answer.text)
        for password in (17, ['a secret'], 'a secret' * 1000, ''):
            answer = self.send(
                'POST', 'users', {'user': {'name': 'x', 'password': password}}
            )
            self.assertIn('password', self.assert_error(400, answer))
            self.assertNotIn('a secret', answer.text)

    def test_password_is_no_attribute(self):
        """A client sends the old password to the wrong endpoint."""
        made = self.create('user', name='ann', password=PASSWORDS[0])
        values = {
            'password': PASSWORDS[1],
            'original_password': PASSWORDS[0],
        }
        path = f'users/{made["id"]}'
        for answer in (
            self.send('PATCH', path, {'user': values}),
            self.send('POST', 'users', {'user': {'name': 'x', **values}}),
            self.send('PATCH', path, {'user': {'Old_Password': 'a secret'}}),
        ):
            self.assertIn('/password', self.assert_error(400, answer))
            self.assertNotIn('a secret', answer.text)
        self.assertNotIn('a secret', self.send('GET', path).text)

    def test_without_a_password(self):
        self.create('user', name='ann', password=None)
        for password in ('', 'x'):
            answer = self.login(self.body(name='ann', password=password))
            self.assertEqual(401, answer.status_code)

    def test_own_password(self):
        made = self.create('user', name='ann', password=PASSWORDS[0])
        token = self.store.issue_token(made['id'])
        path = f'users/{made["id"]}/password'

        def change(old, new, asker=token):
            values = {'original_password': old, 'password': new}
            return self.send('POST', path, {'user': values}, asker)

        self.assert_error(401, change('wrong', PASSWORDS[1]))
        for new in ('', None, 3, 'x' * 4097):
            self.assert_error(400, change(PASSWORDS[0], new))
        self.assert_error(403, change(*PASSWORDS, self.token('demo', 'demo')))
        self.assertEqual(204, change(*PASSWORDS).status_code)
        # Its own token ended, too.
        self.assert_error(401, change(*PASSWORDS))
        self.store.authenticate(self.user('ann'), PASSWORDS[1])


class FullDiskTest(AccountsTestCase):
    """Nothing changes, the reply is a 503, and then all works again."""

    def setUp(self):
        super().setUp()
        self.admin = self.user('admin').id

    def fill_disk(self):
        full = OSError(errno.ENOSPC, 'No space left on device')
        return mock.patch.object(atomic_files.os, 'fsync', side_effect=full)

    def assert_full(self, answer):
        message = self.assert_error(503, answer)
        self.assertIn('No space left on device', message)

    def test_account(self):
        body = {'project': {'name': 'lab'}}
        with self.fill_disk():
            self.assert_full(self.send('POST', 'projects', body))
        self.assertEqual(
            [], self.send('GET', 'projects?name=lab').json['projects']
        )
        self.create('project', name='lab')

    def test_password(self):
        path = f'users/{self.admin}'
        body = {'user': {'password': PASSWORDS[0]}}
        with self.fill_disk():
            self.assert_full(self.send('PATCH', path, body))
        self.assertEqual(self.passwords['admin'], self.store.admin_password())
        self.assertEqual(200, self.send('PATCH', path, body).status_code)
        self.assertEqual(PASSWORDS[0], self.store.admin_password())

    def test_revoked_token(self):
        token = self.token()
        revoke = {'headers': {'X-Subject-Token': token}}
        path = test_routes.TOKENS
        with self.fill_disk():
            self.assert_full(self.request('DELETE', path, token, **revoke))
        self.assertIsNotNone(self.store.find_token(token))
        answer = self.request('DELETE', path, token, **revoke)
        self.assertEqual(204, answer.status_code)

    def test_watcher_cannot_write(self):
        self.store.watch_admin_password(
            mock.Mock(side_effect=OSError(errno.ENOSPC, 'full'))
        )
        body = {'user': {'password': PASSWORDS[1]}}
        answer = self.send('PATCH', f'users/{self.admin}', body)
        self.assertEqual(200, answer.status_code, answer.text)
        self.assertEqual(PASSWORDS[1], self.store.admin_password())
        self.assertIn('The next start writes it', self.log.output)


class RolesTest(AccountsTestCase):
    def test_life(self):
        made = self.create('role', name='own', description='x')
        self.assertEqual(
            ('own', 'x', None),
            (made['name'], made['description'], made['domain_id']),
        )
        changed = self.change('role', made, name='mine', description=None)
        self.assertEqual(
            ('mine', None), (changed['name'], changed['description'])
        )
        path = f'roles/{made["id"]}'
        self.assertEqual(204, self.send('DELETE', path).status_code)
        self.assert_error(404, self.send('GET', path))

    def test_refused(self):
        for values, status in (
            ({'name': 'admin'}, 409),
            ({'name': 'x', 'domain_id': 'default'}, 400),
            ({'name': 'x', 'other': 'y'}, 400),
        ):
            answer = self.send('POST', 'roles', {'role': values})
            self.assert_error(status, answer)


class PolicyTest(AccountsTestCase):
    def test_members_change_nothing(self):
        before = self.store.accounts
        member = self.token('demo', 'demo')
        rows = {
            'project': self.project('demo').id,
            'user': self.demo.id,
            'role': next(iter(before.roles)),
        }
        for token, status in (
            (member, 403),
            (self.token('demo', None), 403),
            (self.token('admin', None), 403),
            ('', 401),
        ):
            for kind, row_id in rows.items():
                for method, path, verb in (
                    ('POST', f'{kind}s', 'create'),
                    ('PATCH', f'{kind}s/{row_id}', 'update'),
                    ('PATCH', f'{kind}s/unknown', 'update'),
                    ('DELETE', f'{kind}s/{row_id}', 'delete'),
                ):
                    body = {kind: {'name': 'x'}}
                    answer = self.send(method, path, body, token)
                    message = self.assert_error(status, answer)
                    if status == 403:
                        self.assertIn(f'identity:{verb}_{kind}', message)
        self.assertIs(before, self.store.accounts)

    def test_the_domain_and_the_catalog_are_fixed(self):
        self.assertEqual([], self.send('GET', 'groups').json['groups'])
        self.assert_error(404, self.send('GET', 'groups/x'))
        for path in ('groups', 'domains', 'services', 'endpoints', 'regions'):
            answer = self.send('POST', path, {})
            self.assertEqual(405, answer.status_code)
            answer = self.send('DELETE', f'{path}/x')
            self.assertEqual(405, answer.status_code)
