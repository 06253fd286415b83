# SPDX-License-Identifier: Apache-2.0
"""Changes of the accounts, and what they do to tokens."""

import concurrent.futures
import functools
import os
from unittest import mock

from minova import atomic_files
from minova import exception
from minova.identity import account_file
from minova.identity import changes
from minova.identity import embedded
from minova.identity import records
from tests.unit.identity import test_embedded


class ChangesTestCase(test_embedded.StoreTestCase):
    def do(self, name, **values):
        """Apply a change; return its result."""
        return self.store.change(
            functools.partial(getattr(changes, name), **values)
        )

    def create_user(self, name='ann', password='secret', **values):
        return self.store.create_user(password, {'name': name, **values})

    def role(self, name):
        (found,) = [
            one
            for one in self.store.accounts.roles.values()
            if one.name == name
        ]
        return found

    def grant(self, user, project, role='member'):
        self.do(
            'grant',
            user_id=user.id,
            project_id=project.id,
            role_id=self.role(role).id,
        )

    def is_valid(self, token):
        return self.store.find_token(token) is not None

    def reopened(self):
        return embedded.Identity(self.path).accounts


class DurabilityTest(ChangesTestCase):
    def test_changes_survive_a_restart(self):
        project = self.do(
            'create_project',
            values={'name': 'lab', 'tags': ('a',), 'extra': {'floor': 3}},
        )
        user = self.create_user(default_project_id=project.id)
        self.grant(user, project)
        self.do('create_role', values={'name': 'own'})
        self.do(
            'create_credential',
            values={
                'name': 'robot',
                'user_id': user.id,
                'project_id': project.id,
                'secret': user.password,
                'role_ids': (self.role('reader').id,),
            },
        )
        again = self.reopened()
        self.assertEqual(self.store.accounts, again)
        self.assertEqual(project, again.projects[project.id])
        self.assertEqual(user, again.users[user.id])
        with open(self.file('identity.json'), encoding='utf-8') as file:
            self.assertNotIn('secret"', file.read().replace('"secret"', ''))

    def test_a_failed_write_changes_nothing(self):
        before = self.store.accounts
        with mock.patch.object(
            atomic_files, 'write_bytes', side_effect=OSError('full')
        ):
            self.assertRaises(exception.Unavailable, self.create_user)
        self.assertIs(before, self.store.accounts)
        self.assertEqual(before, self.reopened())

    def test_concurrent_changes(self):
        def create(number):
            name = 'same' if number % 2 else f'user-{number}'
            try:
                self.do('create_user', values={'name': name})
            except exception.Conflict:
                return False
            return True

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            made = list(pool.map(create, range(16)))
        self.assertEqual([True], [one for one in made[1::2] if one])
        self.assertEqual([True] * 8, made[::2])
        self.assertEqual(2 + 9, len(self.reopened().users))

    def test_many_are_bounded(self):
        self.limit_rows()
        self.create_user('one')
        self.assertRaises(exception.Forbidden, self.create_user, 'two')

    def limit_rows(self):
        patch = mock.patch.object(
            changes, '_MAX_ROWS', len(self.store.accounts.users) + 1
        )
        patch.start()
        self.addCleanup(patch.stop)


class TokensTest(ChangesTestCase):
    """What ends the tokens of a user or project for good."""

    def setUp(self):
        super().setUp()
        self.lab = self.do('create_project', values={'name': 'lab'})
        self.ann = self.create_user()
        self.grant(self.ann, self.lab)
        self.token = self.store.issue_token(self.ann.id, self.lab.id)
        self.unscoped = self.store.issue_token(self.ann.id)
        self.assertTrue(self.is_valid(self.token))

    def update_user(self, **values):
        self.do('update_user', user_id=self.ann.id, values=values)

    def update_project(self, **values):
        self.do('update_project', project_id=self.lab.id, values=values)

    def test_disabled_user(self):
        self.update_user(enabled=False)
        self.assertFalse(self.is_valid(self.token))
        self.assertFalse(self.is_valid(self.unscoped))
        user = self.user('ann')
        self.assertRaises(
            exception.Unauthorized, self.store.authenticate, user, 'secret'
        )
        self.update_user(enabled=True)
        self.assertFalse(self.is_valid(self.token))
        self.store.authenticate(self.user('ann'), 'secret')
        token = self.store.issue_token(self.ann.id, self.lab.id)
        self.assertTrue(self.is_valid(token))

    def test_changed_password(self):
        self.store.set_password(self.ann.id, 'other', {'name': 'anna'})
        self.assertFalse(self.is_valid(self.token))
        self.assertFalse(self.is_valid(self.unscoped))
        user = self.user('anna')
        self.store.authenticate(user, 'other')
        self.assertRaises(
            exception.Unauthorized, self.store.authenticate, user, 'secret'
        )

    def test_login_that_a_new_password_overtakes(self):
        user = self.store.authenticate(self.user('ann'), 'secret')
        self.store.set_password(self.ann.id, 'other', {})
        self.assertRaises(
            exception.Unauthorized,
            self.store.issue_token,
            user.id,
            generation=user.generation,
        )

    def test_other_changes_keep_tokens(self):
        self.update_user(name='anna', extra={'email': 'a@b'})
        self.update_project(name='hall', description='x')
        self.assertTrue(self.is_valid(self.token))
        self.assertEqual(
            'anna', self.store.validate_token(self.token).user_name
        )

    def test_removed_password(self):
        self.store.set_password(self.ann.id, None, {})
        self.assertFalse(self.is_valid(self.unscoped))
        for password in ('', 'secret'):
            self.assertRaises(
                exception.Unauthorized,
                self.store.authenticate,
                self.user('ann'),
                password,
            )

    def test_deleted_user(self):
        self.do('delete_user', user_id=self.ann.id)
        self.assertFalse(self.is_valid(self.unscoped))
        self.assertFalse(self.is_valid(self.token))
        again = self.create_user()
        self.assertNotEqual(self.ann.id, again.id)
        self.assertEqual([], self.store.accounts.projects_of(again.id))

    def test_disabled_project(self):
        self.update_project(enabled=False)
        self.assertFalse(self.is_valid(self.token))
        self.assertTrue(self.is_valid(self.unscoped))
        self.assertRaises(
            exception.Unauthorized,
            self.store.issue_token,
            self.ann.id,
            self.lab.id,
        )
        self.update_project(enabled=True)
        self.assertFalse(self.is_valid(self.token))

    def test_deleted_project(self):
        self.do('delete_project', project_id=self.lab.id)
        self.assertFalse(self.is_valid(self.token))
        self.assertTrue(self.is_valid(self.unscoped))

    def test_roles_are_those_of_now(self):
        self.grant(self.ann, self.lab, 'reader')
        self.do(
            'revoke',
            user_id=self.ann.id,
            project_id=self.lab.id,
            role_id=self.role('member').id,
        )
        self.assertEqual(
            ('reader',), self.store.validate_token(self.token).roles
        )
        self.do(
            'revoke',
            user_id=self.ann.id,
            project_id=self.lab.id,
            role_id=self.role('reader').id,
        )
        self.assertFalse(self.is_valid(self.token))
        self.assertTrue(self.is_valid(self.unscoped))


class RulesTest(ChangesTestCase):
    def test_names_are_unique(self):
        lab = self.do('create_project', values={'name': 'lab'})
        self.create_user()
        own = self.do('create_role', values={'name': 'own'})
        for change, values in (
            ('create_project', {'values': {'name': 'lab'}}),
            ('create_role', {'values': {'name': 'own'}}),
            ('create_role', {'values': {'name': 'admin'}}),
            (
                'update_project',
                {'project_id': lab.id, 'values': {'name': 'demo'}},
            ),
            (
                'update_user',
                {'user_id': self.demo.id, 'values': {'name': 'ann'}},
            ),
            (
                'update_role',
                {'role_id': own.id, 'values': {'name': 'reader'}},
            ),
        ):
            error = self.assertRaises(
                exception.Conflict, self.do, change, **values
            )
            self.assertIn('use another name', str(error))
        self.assertRaises(exception.Conflict, self.create_user)

    def test_the_account_of_clouds_yaml_stays(self):
        project = self.project('admin').id
        for change, values in (
            ('delete_user', {'user_id': self.admin.id}),
            ('delete_project', {'project_id': project}),
            (
                'update_user',
                {'user_id': self.admin.id, 'values': {'enabled': False}},
            ),
            (
                'update_user',
                {'user_id': self.admin.id, 'values': {'name': 'root'}},
            ),
            (
                'update_project',
                {'project_id': project, 'values': {'enabled': False}},
            ),
            (
                'revoke',
                {
                    'user_id': self.admin.id,
                    'project_id': project,
                    'role_id': self.role('admin').id,
                },
            ),
        ):
            error = self.assertRaises(
                exception.Forbidden, self.do, change, **values
            )
            self.assertIn('clouds.yaml', str(error))
        self.assertRaises(
            exception.Forbidden,
            self.store.set_password,
            self.admin.id,
            None,
            {},
        )

    def test_built_in_roles_stay(self):
        for name in records.ROLES:
            role_id = self.role(name).id
            self.assertRaises(
                exception.Forbidden, self.do, 'delete_role', role_id=role_id
            )
            self.assertRaises(
                exception.Forbidden,
                self.do,
                'update_role',
                role_id=role_id,
                values={'description': 'x'},
            )

    def test_deleted_with_a_row(self):
        lab = self.do('create_project', values={'name': 'lab'})
        own = self.do('create_role', values={'name': 'own'})
        ann = self.create_user(default_project_id=lab.id)
        for role in ('own', 'member'):
            self.grant(ann, lab, role)
        self.grant(self.demo, lab)
        self.do('delete_role', role_id=own.id)
        names = [
            one.name
            for one in self.store.accounts.assigned_roles(ann.id, lab.id)
        ]
        self.assertEqual(['member'], names)
        self.do('delete_project', project_id=lab.id)
        self.assertIsNone(self.user('ann').default_project_id)
        self.assertEqual([], self.store.accounts.projects_of(ann.id))
        self.assertEqual(3, len(self.store.accounts.assignments))

    def test_unknown_ids(self):
        for change, values in (
            ('delete_user', {'user_id': 'x'}),
            ('update_user', {'user_id': 'x', 'values': {}}),
            ('delete_project', {'project_id': 'x'}),
            ('delete_role', {'role_id': 'x'}),
            ('create_project', {'values': {'name': 'a', 'domain_id': 'x'}}),
            (
                'grant',
                {'user_id': 'x', 'project_id': 'x', 'role_id': 'x'},
            ),
        ):
            self.assertRaises(exception.NotFound, self.do, change, **values)
        self.assertRaises(
            exception.NotFound, self.create_user, default_project_id='x'
        )
        values = {
            'name': 'robot',
            'user_id': self.demo.id,
            'project_id': 'x',
            'secret': None,
            'role_ids': (),
        }
        for wrong in (values, {**values, 'user_id': 'x'}):
            self.assertRaises(
                exception.NotFound, self.do, 'create_credential', values=wrong
            )

    def test_attributes_of_clients(self):
        user = self.create_user(extra={'email': 'a@b', 'floor': 3})
        self.do(
            'update_user',
            user_id=user.id,
            values={'extra': {'floor': None, 'desk': 'x'}},
        )
        self.assertEqual({'email': 'a@b', 'desk': 'x'}, self.user('ann').extra)


class AdminPasswordTest(ChangesTestCase):
    def test_file_and_clouds_yaml_follow(self):
        written = []
        self.store.watch_admin_password(written.append)
        password = ' a "new" sécret\n'
        self.store.set_password(self.admin.id, password, {})
        self.assertEqual([password], written)
        self.assertEqual(password, self.store.admin_password())
        self.assertEqual('0o600', self.mode('admin-password'))
        again = embedded.Identity(self.path)
        self.assertEqual(password, again.admin_password())
        again.authenticate(
            again.find_user(self.admin.id), again.admin_password()
        )

    def test_of_others_is_not_written(self):
        self.store.watch_admin_password(self.fail)
        self.store.set_password(self.demo.id, 'other', {})
        self.assertEqual(self.passwords['admin'], self.store.admin_password())

    def test_crash_before_the_records_are_written(self):
        with mock.patch.object(
            account_file.json, 'dumps', side_effect=SystemExit
        ):
            self.assertRaises(
                SystemExit,
                self.store.set_password,
                self.admin.id,
                'new',
                {},
            )
        self.assertTrue(os.path.exists(self.file('admin-password.next')))
        again = embedded.Identity(self.path)
        self.assertEqual(self.passwords['admin'], again.admin_password())
        self.assertFalse(os.path.exists(self.file('admin-password.next')))

    def test_crash_after_the_records_are_written(self):
        with mock.patch.object(
            account_file, '_finish_password_change', side_effect=SystemExit
        ):
            self.assertRaises(
                SystemExit,
                self.store.set_password,
                self.admin.id,
                'new',
                {},
            )
        self.assertEqual(self.passwords['admin'], self.store.admin_password())
        again = embedded.Identity(self.path)
        self.assertEqual('new', again.admin_password())
        again.authenticate(again.find_user(self.admin.id), 'new')
