# SPDX-License-Identifier: Apache-2.0
"""The roles of users on projects over HTTP."""

from tests.unit.identity.test_account_routes import AccountsTestCase


class AssignmentsTest(AccountsTestCase):
    def setUp(self):
        super().setUp()
        self.ann = self.create('user', name='ann', password='secret')
        self.lab = self.create('project', name='lab')
        self.roles = {
            role.name: role.id for role in self.store.accounts.roles.values()
        }

    def grant(self, role='member'):
        base = f'projects/{self.lab["id"]}/users/{self.ann["id"]}/roles'
        return f'{base}/{self.roles.get(role, role)}' if role else base

    def listed(self, query):
        answer = self.send('GET', f'role_assignments?{query}')
        self.assertEqual(200, answer.status_code, answer.text)
        return answer.json['role_assignments']

    def test_life(self):
        for method in ('HEAD', 'GET'):
            answer = self.send(method, self.grant())
            self.assertEqual(404, answer.status_code)
        for method in ('PUT', 'PUT', 'GET', 'HEAD'):
            answer = self.send(method, self.grant())
            self.assertEqual(204, answer.status_code, method)
        token = self.store.issue_token(self.ann['id'], self.lab['id'])
        (role,) = self.send('GET', self.grant(None)).json['roles']
        self.assertEqual('member', role['name'])
        for path, asker in (
            ('auth/projects', token),
            (f'users/{self.ann["id"]}/projects', token),
        ):
            (row,) = self.send('GET', path, token=asker).json['projects']
            self.assertEqual(self.lab['id'], row['id'])
        self.assertEqual(204, self.send('DELETE', self.grant()).status_code)
        self.assert_error(404, self.send('DELETE', self.grant()))
        self.assertIsNone(self.store.find_token(token))

    def test_a_disabled_project_is_not_offered(self):
        self.send('PUT', self.grant())
        token = self.store.issue_token(self.ann['id'])
        self.change('project', self.lab, enabled=False)
        path = f'users/{self.ann["id"]}/projects'
        for where, count in (('auth/projects', 0), (path, 1)):
            rows = self.send('GET', where, token=token).json['projects']
            self.assertEqual(count, len(rows))

    def test_unknown_ids(self):
        for method in ('PUT', 'GET', 'DELETE'):
            self.assert_error(404, self.send(method, self.grant('unknown')))
        for path in (
            f'projects/x/users/{self.ann["id"]}/roles',
            f'projects/{self.lab["id"]}/users/x/roles',
        ):
            self.assert_error(404, self.send('GET', path))

    def test_members_are_refused(self):
        member = self.token('demo', 'demo')
        for method in ('PUT', 'GET', 'DELETE'):
            answer = self.send(method, self.grant(), token=member)
            self.assert_error(403, answer)
        answer = self.send('GET', self.grant(None), token=member)
        self.assert_error(403, answer)

    def test_effective_roles(self):
        self.send('PUT', self.grant())
        query = f'user.id={self.ann["id"]}'
        (row,) = self.listed(query)
        self.assertEqual({'id': self.roles['member']}, row['role'])
        for flag in ('effective', 'effective=True', 'effective=1'):
            rows = self.listed(f'{query}&include_names&{flag}')
            self.assertEqual(
                ['member', 'reader'],
                sorted(one['role']['name'] for one in rows),
            )
        (reader,) = (one for one in rows if one['role']['name'] == 'reader')
        self.assertIn(self.roles['member'], reader['links']['assignment'])
        self.assertIn(self.roles['member'], reader['links']['prior_role'])
        rows = self.listed(f'{query}&effective=false')
        self.assertEqual(1, len(rows))
        rows = self.listed(
            f'effective&role.id={self.roles["reader"]}'
            f'&scope.project.id={self.lab["id"]}'
        )
        self.assertEqual([{'id': self.ann['id']}], [r['user'] for r in rows])

    def test_scopes_without_assignments(self):
        for query in (
            'scope.domain.id=default',
            'scope.system=all',
            'group.id=x',
            'user.id=x',
        ):
            self.assertEqual([], self.listed(query))
