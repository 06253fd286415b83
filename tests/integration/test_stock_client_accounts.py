# SPDX-License-Identifier: Apache-2.0
"""Projects, users and roles with the ``openstack`` command and the SDK."""

import json
import os

from keystoneauth1 import exceptions as auth_exceptions
from openstack import exceptions

from tests.integration.allinone import Shell
from tests.integration.allinone import StockClientTestCase


class AccountsTest(StockClientTestCase):
    """The embedded identity service as an administrator uses Keystone."""

    def connect_as(self, user, password):
        """Return the client of another user."""
        return self.useFixture(
            Shell(
                self.read_endpoint()
                | {
                    'OS_USERNAME': user,
                    'OS_PASSWORD': password,
                    'OS_PROJECT_NAME': 'lab',
                    'OS_USER_DOMAIN_NAME': 'Default',
                    'OS_PROJECT_DOMAIN_NAME': 'Default',
                }
            )
        )

    def read_endpoint(self):
        """Return an environment with the URL, but without an account."""
        with open(os.path.join(self.data, 'clouds.yaml')) as file:
            (line,) = [one for one in file if 'auth_url' in one]
        return {
            name: value
            for name, value in os.environ.items()
            if not name.startswith('OS_')
        } | {
            'OS_AUTH_URL': json.loads(line.partition(': ')[2]),
            'OS_IDENTITY_API_VERSION': '3',
        }

    def test_life_of_an_account(self):
        table = self.shell.table
        self._create()
        self.image()
        self.done('image set --public tiny')
        ann = self.connect_as('ann', 'first secret')
        made = ann.table(
            'server create --image tiny --flavor m1.nano --wait hers'
        )
        self.assertEqual('ACTIVE', made['status'])
        project = table('project show lab')['id']
        (row,) = table('server list --all-projects --long')
        self.assertEqual('hers', row['Name'])
        self.assertEqual(project, self.show(row['ID'])['project_id'])
        self.fails(ann, 'project create more', 'identity:create_project')
        self.assertEqual(0, self.service.terminate())
        self.start_again(self.service)
        self.cloud = self.connect()
        # The port is another one, and the client keeps URLs.
        self.shell = self.useFixture(Shell(self.environment))
        ann = self.connect_as('ann', 'first secret')
        (row,) = ann.table('server list')
        self.assertEqual('hers', row['Name'])
        (row,) = ann.table('project list')
        self.assertEqual('lab', row['Name'])
        self._disable_and_delete(ann)

    def fails(self, shell, command, text='401'):
        """A command of another user exits with 1 and this text."""
        code, said = shell.run(command)
        self.assertEqual(1, code, said)
        self.assertIn(text, said)

    def _create(self):
        table = self.shell.table
        made = table(
            'project create --description Laboratory --tag one '
            '--property floor=3 lab'
        )
        self.assertEqual(
            ('Laboratory', ['one'], 'default', True),
            (
                made['description'],
                made['tags'],
                made['domain_id'],
                made['enabled'],
            ),
        )
        self.refused('project create lab', '409: * with the name lab')
        found = table('project create --or-show lab')
        self.assertEqual(made['id'], found['id'])
        user = table(
            'user create --project lab --password "first secret" '
            '--email ann@example.com --description Ann ann'
        )
        self.assertEqual(
            ('ann', 'ann@example.com', 'Ann', made['id']),
            (
                user['name'],
                user['email'],
                user['description'],
                user['default_project_id'],
            ),
        )
        self.refused('user create ann', '409: * with the name ann')
        self.done('role add --project lab --user ann member')
        self.done('role add --project lab --user ann member')
        (row,) = table('role assignment list --project lab --names')
        self.assertEqual(
            ('member', 'ann@Default', 'lab@Default'),
            (row['Role'], row['User'], row['Project']),
        )
        rows = table('role assignment list --user ann --effective --names')
        self.assertEqual(
            ['member', 'reader'], sorted(row['Role'] for row in rows)
        )
        self.assertEqual([], table('role assignment list --domain default'))
        names = {row['Name'] for row in table('user list --long')}
        self.assertEqual({'admin', 'demo', 'ann'}, names)
        (row,) = table('user list --project lab')
        self.assertEqual('ann', row['Name'])
        (row,) = table('project list --user ann')
        self.assertEqual('lab', row['Name'])

    def _disable_and_delete(self, ann):
        self.done('user set --disable ann')
        self.fails(ann, 'server list')
        self.done('user set --enable ann')
        self.assertEqual(1, len(ann.table('server list')))
        self.done('role remove --project lab --user ann member')
        self.fails(ann, 'server list')
        self.assertEqual('own', self.shell.table('role create own')['name'])
        self.done('role set --name mine own')
        self.done('role delete mine')
        for command, text in (
            ('role delete admin', '403: * immutable'),
            ('user delete admin', '403: * clouds.yaml'),
            ('user set --disable admin', '403: * clouds.yaml'),
            ('project delete admin', '403: * clouds.yaml'),
            ('user show nothing', 'No User found for nothing'),
            ('project show nothing', 'No Project found for nothing'),
        ):
            self.refused(command, text)
        self.done('server delete --force hers --all-projects')
        self.done('user delete ann')
        self.done('project set --disable lab')
        self.done('project delete lab')
        names = {row['Name'] for row in self.shell.table('project list')}
        self.assertEqual({'admin', 'demo'}, names)

    def test_passwords(self):
        self._create()
        ann = self.connect_as('ann', 'first secret')
        change = 'user password set --password second --original-password'
        self.fails(ann, f'{change} wrong')
        self.assertEqual([0, ''], ann.run(f'{change} "first secret"'))
        self.fails(ann, 'server list')
        ann = self.connect_as('ann', 'second')
        self.assertEqual([], ann.table('server list'))
        self.done('user set --password third --name anna ann')
        self.fails(ann, 'server list')
        anna = self.connect_as('anna', 'third')
        self.assertEqual([], anna.table('server list'))
        # clouds.yaml follows the password of its own account.
        self.done('user set --password "new \'secret\'" admin')
        self.assertEqual(3, len(self.shell.table('user list')))

    def test_application_credentials(self):
        table = self.shell.table
        made = table(
            'application credential create --role member --expiration '
            '2100-01-01T00:00:00 robot'
        )
        self.assertEqual('robot', made['Name'])
        robot = self.useFixture(
            Shell(
                self.read_endpoint()
                | {
                    'OS_AUTH_TYPE': 'v3applicationcredential',
                    'OS_APPLICATION_CREDENTIAL_ID': made['ID'],
                    'OS_APPLICATION_CREDENTIAL_SECRET': made['Secret'],
                }
            )
        )
        self.assertEqual([], robot.table('server list'))
        # It has no role of an administrator.
        self.fails(robot, 'hypervisor list', '403')
        self.fails(
            robot, 'application credential create another', 'restricted'
        )
        (row,) = table('application credential list')
        self.assertEqual('robot', row['Name'])
        self.done('application credential delete robot')
        self.fails(robot, 'server list')

    def test_with_the_sdk(self):
        cloud = self.cloud
        project = cloud.create_project('lab', domain_id='default')
        user = cloud.create_user(
            'ann',
            domain_id='default',
            password='secret',
            default_project=project.id,
        )
        self.assertTrue(cloud.grant_role('member', user='ann', project='lab'))
        (row,) = cloud.list_role_assignments({'user': user.id})
        self.assertEqual(project.id, row.scope['project']['id'])
        with cloud.connect_as(
            username='ann', password='secret', project_name='lab'
        ) as hers:
            self.assertEqual([], hers.list_servers())
            self.assertEqual('lab', hers.current_project.name)
            self.assertRaises(
                exceptions.ForbiddenException,
                hers.create_user,
                'more',
                domain_id='default',
            )
            cloud.update_user(user.id, enabled=False)
            self.assertRaises(auth_exceptions.Unauthorized, hers.list_servers)
        self.assertTrue(cloud.revoke_role('member', user='ann', project='lab'))
        self.assertTrue(cloud.delete_user('ann'))
        cloud.update_project(project.id, description='old')
        self.assertEqual('old', cloud.get_project('lab').description)
        self.assertTrue(cloud.delete_project('lab'))
        self.assertIsNone(cloud.get_project('lab'))
