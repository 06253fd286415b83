# SPDX-License-Identifier: Apache-2.0
"""Application credentials over HTTP."""

from tests.unit.identity.test_account_routes import AccountsTestCase

ROOT = 'application_credential'


class CredentialsTest(AccountsTestCase):
    def setUp(self):
        super().setUp()
        self.member = self.token('demo', 'demo')
        self.path = f'users/{self.demo.id}/{ROOT}s'

    def make(self, token=None, **values):
        answer = self.send(
            'POST',
            self.path,
            {ROOT: {'name': 'robot', **values}},
            token or self.member,
        )
        self.assertEqual(201, answer.status_code, answer.text)
        return answer.json[ROOT]

    def refuse(self, status, text, token=None, **values):
        body = {ROOT: {'name': 'robot', **values}}
        answer = self.send('POST', self.path, body, token or self.member)
        self.assertIn(text, self.assert_error(status, answer))

    def enter(self, scope=None, **given):
        """Log in with a credential."""
        auth = {'identity': {'methods': [ROOT], ROOT: given}}
        if scope:
            auth['scope'] = scope
        return self.login({'auth': auth})

    def entered(self, **given):
        answer = self.enter(**given)
        self.assertEqual(201, answer.status_code, answer.text)
        return answer.headers['X-Subject-Token']

    def test_life(self):
        made = self.make(description='x')
        self.assertEqual(
            ('robot', 'x', self.project('demo').id, False, None),
            tuple(
                made[name]
                for name in (
                    'name',
                    'description',
                    'project_id',
                    'unrestricted',
                    'expires_at',
                )
            ),
        )
        self.assertEqual(
            ['member', 'reader'], [role['name'] for role in made['roles']]
        )
        secret = made.pop('secret')
        path = f'{self.path}/{made["id"]}'
        for token in (self.member, self.token()):
            shown = self.send('GET', path, token=token).json[ROOT]
            self.assertEqual(made, shown)
            (listed,) = self.send(
                'GET', f'{self.path}?name=robot', token=token
            ).json[f'{ROOT}s']
            self.assertEqual(made, listed)
        user = {'name': 'demo', 'domain': {'id': 'default'}}
        for given in (
            {'id': made['id']},
            {'name': 'robot', 'user': user},
            {'name': 'robot', 'user': {'id': self.demo.id}},
        ):
            token = self.entered(secret=secret, **given)
            found = self.store.validate_token(token)
            self.assertEqual(self.project('demo').id, found.project_id)
            self.assertEqual(('member', 'reader'), found.roles)
            self.assertEqual((ROOT,), found.methods)
        answer = self.send('DELETE', path, token=self.member)
        self.assertEqual(204, answer.status_code)
        self.assertIsNone(self.store.find_token(token))
        self.assertEqual(
            401, self.enter(id=made['id'], secret=secret).status_code
        )
        self.assert_error(404, self.send('GET', path, token=self.member))

    def test_some_roles(self):
        made = self.make(roles=[{'name': 'reader'}], secret='given')
        self.assertEqual('given', made['secret'])
        token = self.entered(id=made['id'], secret='given')
        self.assertEqual(('reader',), self.store.validate_token(token).roles)
        self.refuse(400, 'role', roles=[{'name': 'admin'}], name='a')
        self.refuse(400, 'role', roles=[{'id': 'x'}], name='a')
        self.refuse(400, 'role', roles=[{}], name='a')

    def test_roles_that_the_user_lost(self):
        made = self.make()
        token = self.entered(id=made['id'], secret=made['secret'])
        (assignment,) = (
            one
            for one in self.store.accounts.assignments
            if one.user_id == self.demo.id
        )
        answer = self.send(
            'DELETE',
            f'projects/{assignment.project_id}/users/{self.demo.id}/roles/'
            f'{assignment.role_id}',
        )
        self.assertEqual(204, answer.status_code)
        self.assertIsNone(self.store.find_token(token))

    def test_expiry(self):
        made = self.make(expires_at='2100-01-01T00:00:00.000000Z')
        self.assertEqual('2100-01-01T00:00:00', made['expires_at'])
        soon = (self.clock.now()).isoformat()
        for text in ('x', '2000-01-01T00:00:00', soon):
            self.refuse(400, 'expires_at', name='a', expires_at=text)
        later = f'{self.clock.now().year + 1}-01-01T00:00:00'
        made = self.make(name='b', expires_at=later)
        token = self.entered(id=made['id'], secret=made['secret'])
        self.clock.forward(days=370)
        self.assertIsNone(self.store.find_token(token))
        answer = self.enter(id=made['id'], secret=made['secret'])
        self.assertEqual(401, answer.status_code)

    def test_wrong_logins(self):
        made = self.make()
        secret = made['secret']
        for status, given in (
            (401, {'id': made['id'], 'secret': 'x'}),
            (401, {'id': 'x', 'secret': secret}),
            (
                401,
                {
                    'name': 'robot',
                    'secret': secret,
                    'user': {'id': self.admin.id},
                },
            ),
            (400, {'name': 'robot', 'secret': secret}),
            (400, {'id': made['id']}),
            (400, {'name': 'robot', 'secret': secret, 'user': {}}),
            (
                400,
                {
                    'id': made['id'],
                    'secret': secret,
                    'scope': {'project': {'id': 'x'}},
                },
            ),
        ):
            self.assert_error(status, self.enter(**given))

    def test_a_restricted_one_makes_no_other(self):
        made = self.make()
        token = self.entered(id=made['id'], secret=made['secret'])
        self.refuse(403, 'restricted', token, name='a')
        path = f'{self.path}/{made["id"]}'
        self.assert_error(403, self.send('DELETE', path, token=token))
        made = self.make(name='b', unrestricted=True)
        token = self.entered(id=made['id'], secret=made['secret'])
        self.make(token, name='c')

    def test_its_token_has_one_scope(self):
        made = self.make()
        token = self.entered(id=made['id'], secret=made['secret'])
        for scope, status in (
            ({'project': {'id': self.project('demo').id}}, 201),
            ({'project': {'id': self.project('admin').id}}, 401),
            ('unscoped', 401),
        ):
            identity = {'methods': ['token'], 'token': {'id': token}}
            answer = self.login(
                {'auth': {'identity': identity, 'scope': scope}}
            )
            self.assertEqual(status, answer.status_code, scope)

    def test_refused(self):
        self.make()
        self.refuse(409, 'robot')
        self.refuse(400, 'unscoped', self.token('demo', None), name='a')
        self.refuse(400, 'project_id', name='a', project_id='x')
        self.refuse(400, 'access_rules', name='a', access_rules=[{}])
        self.refuse(403, 'create', self.token(), name='a')
        other = f'users/{self.admin.id}/{ROOT}s'
        for path in (other, f'{other}/x'):
            answer = self.send('GET', path, token=self.member)
            self.assert_error(403, answer)
        self.assert_error(404, self.send('GET', f'users/x/{ROOT}s'))
