# SPDX-License-Identifier: Apache-2.0
"""Users, projects and roles, and the validity of tokens."""

import base64
import datetime
import json
import os
import shutil
import tempfile

from minova import atomic_files
from minova import exception
from minova.identity import embedded
from minova.identity import tokens
from tests.unit.identity import base

DAY = datetime.timedelta(days=1)


class FirstStartTest(base.TestCase):
    def test_initial_contents(self):
        known = embedded.Identity(self.path).accounts
        self.assertEqual(['default'], list(known.domains))
        self.assertEqual(
            {'admin', 'demo'}, {one.name for one in known.projects.values()}
        )
        self.assertEqual(
            {'admin', 'demo'}, {one.name for one in known.users.values()}
        )
        self.assertEqual(
            {'admin', 'manager', 'member', 'reader', 'service'},
            {one.name for one in known.roles.values()},
        )

    def test_only_owner_can_read_file(self):
        directory = self.file('made', 'deep')
        embedded.Identity(directory)
        self.assertEqual('0o700', self.mode('made', 'deep'))
        self.assertEqual('0o600', self.mode('made', 'deep', 'identity.json'))
        self.assertEqual('0o600', self.mode('made', 'deep', 'admin-password'))

    def test_passwords_are_shown_once_and_hashed(self):
        first = embedded.Identity(self.path)
        given = first.initial_passwords
        self.assertEqual({'admin', 'demo'}, set(given))
        self.assertNotEqual(given['admin'], given['demo'])
        self.assertEqual(given['admin'], first.admin_password())
        with open(self.file('identity.json'), encoding='utf-8') as file:
            content = file.read()
        for password in given.values():
            self.assertNotIn(password, content)
        again = embedded.Identity(self.path)
        self.assertEqual({}, again.initial_passwords)
        self.assertEqual(given['admin'], again.admin_password())
        self.assertEqual(first.accounts, again.accounts)

    def test_two_directories_share_nothing(self):
        one = embedded.Identity(self.file('one'))
        two = embedded.Identity(self.file('two'))
        self.assertNotEqual(one.accounts.secret, two.accounts.secret)
        self.assertNotEqual(one.admin_password(), two.admin_password())

    def test_crash_during_first_start(self):
        atomic_files.write_bytes(
            self.file('admin-password'), b'of a start that died'
        )
        store = embedded.Identity(self.path)
        self.assertEqual(
            store.initial_passwords['admin'], store.admin_password()
        )
        user = store.find_user(name='admin', domain={'id': 'default'})
        self.assertEqual(
            user, store.authenticate(user, store.admin_password())
        )


class DamagedTest(base.TestCase):
    def setUp(self):
        super().setUp()
        embedded.Identity(self.path)

    def _damage(self, **changes):
        document = atomic_files.read_json(self.file('identity.json'))
        atomic_files.write_json(
            self.file('identity.json'), {**document, **changes}
        )

    def _refused(self):
        return str(
            self.assertRaises(
                exception.ConfigInvalid, embedded.Identity, self.path
            )
        )

    def test_no_json(self):
        atomic_files.write_bytes(self.file('identity.json'), b'{')
        self.assertIn('identity.json', self._refused())

    def test_wrong_types(self):
        self._damage(users=[{'id': 'x'}])
        self.assertIn('damaged', self._refused())

    def test_another_version(self):
        for version in (1, 3):
            self._damage(version=version)
            self.assertIn('another version', self._refused())

    def test_short_secret(self):
        self._damage(secret='00')
        self.assertIn('secret', self._refused())

    def test_revocations(self):
        atomic_files.write_bytes(self.file('revoked.json'), b'[1]')
        self.assertIn('revoked.json', self._refused())

    def test_no_password_file(self):
        os.unlink(self.file('admin-password'))
        store = embedded.Identity(self.path)
        error = self.assertRaises(
            exception.ConfigInvalid, store.admin_password
        )
        self.assertIn('admin-password', str(error))


class StoreTestCase(base.TestCase):
    """Starts from a copy of one directory, because creation is slow."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.made = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.made)
        cls.passwords = embedded.Identity(cls.made).initial_passwords

    def setUp(self):
        super().setUp()
        shutil.copytree(self.made, self.path, dirs_exist_ok=True)
        self.store = embedded.Identity(self.path)
        self.admin = self.user('admin')
        self.demo = self.user('demo')

    def user(self, name):
        return self.store.find_user(name=name, domain={'id': 'default'})

    def project(self, name):
        return self.store.find_project(name=name, domain={'name': 'Default'})


class FindTest(StoreTestCase):
    def test_password(self):
        good = self.passwords['demo']
        self.assertEqual(self.demo, self.store.authenticate(self.demo, good))
        for user, password in (
            (self.demo, self.passwords['admin']),
            (self.demo, ''),
            (self.demo, good + ' '),
            (None, good),
            (None, ''),
        ):
            self.assertRaises(
                exception.Unauthorized,
                self.store.authenticate,
                user,
                password,
            )

    def test_names_are_scoped_by_domain(self):
        self.assertIsNone(self.store.find_user(name='admin'))
        self.assertIsNone(
            self.store.find_user(name='admin', domain={'id': 'other'})
        )
        self.assertIsNone(
            self.store.find_user(
                name='admin', domain={'id': 'other', 'name': 'Default'}
            )
        )
        self.assertEqual(
            self.admin, self.store.find_user(user_id=self.admin.id)
        )
        self.assertIsNone(self.store.find_project(name='demo'))

    def test_projects_of(self):
        names = [
            one.name for one in self.store.accounts.projects_of(self.admin.id)
        ]
        self.assertEqual(['admin', 'demo'], names)
        names = [
            one.name for one in self.store.accounts.projects_of(self.demo.id)
        ]
        self.assertEqual(['demo'], names)

    def test_catalog(self):
        self.config.config(group='identity', region='here')
        catalog = self.store.catalog('http://host:1')
        urls = {
            service['type']: {
                (one['interface'], one['region_id'], one['url'])
                for one in service['endpoints']
            }
            for service in catalog
        }
        for kind, url in (
            ('compute', 'http://host:1/v2.1'),
            ('image', 'http://host:1/image'),
            ('network', 'http://host:1/network'),
            ('identity', 'http://host:1/identity/v3'),
        ):
            self.assertEqual(
                {
                    ('public', 'here', url),
                    ('internal', 'here', url),
                    ('admin', 'here', url),
                },
                urls[kind],
            )


class TokenTest(StoreTestCase):
    def _assert_bad(self, text):
        self.assertRaises(
            exception.Unauthorized, self.store.validate_token, text
        )
        self.assertIsNone(self.store.find_token(text))

    def test_on_a_project(self):
        demo = self.project('demo')
        token = self.store.validate_token(
            self.store.issue_token(self.demo.id, demo.id)
        )
        self.assertEqual(
            ('demo', 'Default', 'demo', 'Default'),
            (
                token.user_name,
                token.user_domain_name,
                token.project_name,
                token.project_domain_name,
            ),
        )
        self.assertEqual(
            (self.demo.id, demo.id),
            (
                token.user_id,
                token.project_id,
            ),
        )
        self.assertEqual(('member', 'reader'), token.roles)
        self.assertFalse(token.is_admin)
        self.assertEqual(DAY, token.expires_at - token.issued_at)
        self.assertEqual(22, len(token.audit_id))

    def test_admin(self):
        for project in ('admin', 'demo'):
            text = self.store.issue_token(
                self.admin.id, self.project(project).id
            )
            token = self.store.validate_token(text)
            self.assertEqual(
                ('admin', 'manager', 'member', 'reader'), token.roles
            )
            self.assertTrue(token.is_admin)

    def test_unscoped(self):
        token = self.store.validate_token(
            self.store.issue_token(self.admin.id)
        )
        self.assertIsNone(token.project_id)
        self.assertEqual((), token.roles)
        self.assertFalse(token.is_admin)

    def test_no_role_on_the_project(self):
        self.assertRaises(
            exception.Unauthorized,
            self.store.issue_token,
            self.demo.id,
            self.project('admin').id,
        )
        self.assertRaises(
            exception.Unauthorized,
            self.store.issue_token,
            self.demo.id,
            'none',
        )

    def test_ids_are_unique(self):
        one, two = (self.store.issue_token(self.demo.id) for _ in range(2))
        self.assertNotEqual(
            self.store.validate_token(one).audit_id,
            self.store.validate_token(two).audit_id,
        )

    def test_token_survives_restart(self):
        text = self.store.issue_token(self.demo.id)
        self.assertEqual(
            self.store.validate_token(text),
            embedded.Identity(self.path).validate_token(text),
        )

    def test_token_expires(self):
        self.config.config(group='identity', token_ttl=60)
        text = self.store.issue_token(self.demo.id)
        self.clock.forward(seconds=55)
        self.store.validate_token(text)
        self.clock.forward(seconds=5)
        self._assert_bad(text)

    def test_derived_token_expires_with_its_parent(self):
        first = self.store.validate_token(self.store.issue_token(self.demo.id))
        self.clock.forward(hours=1)
        second = self.store.validate_token(
            self.store.issue_token(self.demo.id, None, ('token',), first)
        )
        self.assertEqual(first.expires_at, second.expires_at)
        self.assertEqual(first.audit_id, second.audit_ids[1])
        self.assertNotEqual(first.audit_id, second.audit_id)

    def test_revoked(self):
        text, other = (self.store.issue_token(self.demo.id) for _ in range(2))
        self.store.revoke_token(text)
        self._assert_bad(text)
        self.assertRaises(
            exception.Unauthorized, self.store.revoke_token, text
        )
        self.store.validate_token(other)
        self.store = embedded.Identity(self.path)
        self._assert_bad(text)
        self.store.validate_token(other)

    def test_expired_revocations_are_removed(self):
        for _ in range(3):
            self.store.revoke_token(self.store.issue_token(self.demo.id))
        self.assertEqual(
            3, len(atomic_files.read_json(self.file('revoked.json')))
        )
        self.clock.forward(days=2)
        self.store.revoke_token(self.store.issue_token(self.demo.id))
        self.assertEqual(
            1, len(atomic_files.read_json(self.file('revoked.json')))
        )

    def test_another_secret(self):
        other = embedded.Identity(self.file('other'))
        user = other.find_user(name='admin', domain={'id': 'default'})
        self._assert_bad(other.issue_token(user.id))

    def test_change_is_detected(self):
        text = self.store.issue_token(self.demo.id, self.project('demo').id)
        for place in range(0, len(text), 7):
            if text[place] == '.':
                continue
            put = 'A' if text[place] != 'A' else 'B'
            self._assert_bad(text[:place] + put + text[place + 1 :])

    def test_invalid_token(self):
        payload = base64.urlsafe_b64encode(
            json.dumps([['x'], self.admin.id, None, [], 0, 2**60]).encode()
        ).decode()
        for text in (
            '',
            '.',
            '..',
            'x',
            'é.é',
            '\x00',
            '=' * 9,
            payload,
            f'{payload}.',
            f'{payload}.AAAA',
            'a' * 100000,
        ):
            self._assert_bad(text)

    def test_deleted_user(self):
        text = tokens.encode_token(
            tokens.Claims(
                ('x',),
                'unknown',
                None,
                ('password',),
                self.clock.now(),
                self.clock.now() + DAY,
            ),
            self.store.accounts.secret,
        )
        self._assert_bad(text)

    def test_deleted_project(self):
        text = tokens.encode_token(
            tokens.Claims(
                ('x',),
                self.admin.id,
                'nothing',
                ('password',),
                self.clock.now(),
                self.clock.now() + DAY,
            ),
            self.store.accounts.secret,
        )
        self._assert_bad(text)
