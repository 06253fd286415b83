# SPDX-License-Identifier: Apache-2.0
"""The role manager: migrations of the servers of the own project."""

from minova.db import tables
from tests.functional.api import base
from tests.functional.api.base import LATEST

_LIVE = {'host': None, 'block_migration': 'auto'}
_HOSTS = (
    'source_compute',
    'source_node',
    'dest_compute',
    'dest_node',
    'dest_host',
)


class ManagerTestCase(base.ApiTestCase):
    """A server, and the manager of its project."""

    def setUp(self):
        super().setUp()
        self.manager = self.client_of('manager', base.USER)
        self.stranger = self.client_of('manager', base.OTHER)
        self.make_flavor()

    def client_of(self, user, token):
        project = token.partition(':')[2]
        return base.Client(self.http, f'{user}:{project}', LATEST)

    def assert_forbidden(self, rule, reply, audience='administrators'):
        self.assert_refused(
            403,
            f"Policy doesn't allow os_compute_api:{rule} to be performed. By "
            f'default it is allowed for {audience}.',
            reply,
        )


class MigrateTest(ManagerTestCase):
    """Cold and live migration."""

    def setUp(self):
        super().setUp()
        self.uuid = self.boot()

    def test_cold_migration(self):
        reply = self.manager.act(self.uuid, 'migrate')
        self.assertEqual(202, reply.status, reply.body)
        self.cloud.settle(self.uuid)
        self.assertEqual('VERIFY_RESIZE', self.show(self.uuid)['status'])

    def test_live_migration(self):
        source = self.show(self.uuid, self.admin)['OS-EXT-SRV-ATTR:host']
        reply = self.manager.act(self.uuid, 'os-migrateLive', _LIVE)
        self.assertEqual(202, reply.status, reply.body)
        self.cloud.settle(self.uuid)
        shown = self.show(self.uuid, self.admin)
        self.assertNotEqual(source, shown['OS-EXT-SRV-ATTR:host'])
        self.assertEqual('ACTIVE', shown['status'])

    def test_hosts_are_for_administrators(self):
        rule = 'os-migrate-server:migrate'
        reply = self.manager.act(self.uuid, 'migrate', {'host': 'b'})
        self.assert_forbidden(f'{rule}:host', reply)
        reply = self.manager.act(
            self.uuid, 'os-migrateLive', _LIVE | {'host': 'b'}
        )
        self.assert_forbidden(f'{rule}_live:host', reply)
        self.assertIsNone(self.show(self.uuid)['OS-EXT-STS:task_state'])

    def test_not_for_members_and_other_projects(self):
        audience = 'managers of the project and administrators'
        for action, content, rule in (
            ('migrate', None, 'migrate'),
            ('os-migrateLive', _LIVE, 'migrate_live'),
        ):
            reply = self.user.at_version(LATEST).act(
                self.uuid, action, content
            )
            self.assert_forbidden(f'os-migrate-server:{rule}', reply, audience)
            reply = self.stranger.act(self.uuid, action, content)
            self.assertEqual(404, reply.status, reply.body)

    def test_cloud_remains_for_administrators(self):
        for path in ('/os-services', '/os-hypervisors', '/os-aggregates'):
            self.assertEqual(403, self.manager.get(path).status, path)
        shown = self.show(self.uuid, self.manager)
        self.assertNotIn('OS-EXT-SRV-ATTR:host', shown)


class MigrationsTest(ManagerTestCase):
    """Migrations, listed, aborted and forced."""

    hosts = ()

    def setUp(self):
        super().setUp()
        self.uuid = self.boot(wait=False)
        self.theirs = self.boot(self.other, wait=False)
        for uuid, requester in (
            (self.uuid, base.USER),
            # Requested by an administrator of another project.
            (self.uuid, base.ADMIN),
            (self.theirs, base.OTHER),
        ):
            self.insert(uuid, requester.partition(':')[2])

    def insert(self, uuid, project):
        """Insert a running live migration that a project has requested."""
        instance = self.cloud.instance(uuid)
        values = {
            'uuid': f'{uuid[:-4]}{project[:4]}',
            'instance_uuid': uuid,
            'operation_id': uuid,
            'kind': 'live-migration',
            'status': 'running',
            'old_vm_state': 'active',
            'source_host': 'a',
            'source_node': 'a',
            'dest_host': 'b',
            'dest_node': 'b',
            'dest_ip': '192.0.2.2',
            'old_flavor': instance.flavor.as_dict(),
            'new_flavor': instance.flavor.as_dict(),
            'user_id': 'someone',
            'project_id': project,
            'created_at': instance.created_at,
        }
        self.cloud.database.write(
            lambda c: c.execute(tables.migrations.insert().values(values))
        )

    def migrations(self, client, path='/os-migrations'):
        reply = client.get(path)
        self.assertEqual(200, reply.status, reply.body)
        return reply.body['migrations']

    def test_list_of_the_own_project_without_hosts(self):
        found = self.migrations(self.manager)
        self.assertEqual(
            [self.uuid, self.uuid], [one['instance_uuid'] for one in found]
        )
        for one in found:
            self.assertEqual({None}, {one[name] for name in _HOSTS})
            self.assertEqual('running', one['status'])
        admin = self.admin.at_version(LATEST)
        found = self.migrations(admin)
        self.assertEqual(3, len(found))
        self.assertEqual('a', found[0]['source_compute'])

    def test_pages(self):
        first, second = self.migrations(self.manager)
        path = f'/os-migrations?marker={first["uuid"]}'
        self.assertEqual([second], self.migrations(self.manager, path))
        (other,) = self.migrations(self.stranger)
        reply = self.manager.get(f'/os-migrations?marker={other["uuid"]}')
        self.assert_refused(400, 'not found', reply)

    def test_refused_filters(self):
        rule = 'os-migrations:index'
        other = base.OTHER.partition(':')[2]
        reply = self.manager.get(f'/os-migrations?project_id={other}')
        self.assert_forbidden(f'{rule}:all_projects', reply)
        for name in ('host', 'source_compute'):
            reply = self.manager.get(f'/os-migrations?{name}=a')
            self.assert_forbidden(f'{rule}:host', reply)
        own = base.USER.partition(':')[2]
        path = f'/os-migrations?project_id={own}'
        self.assertEqual(1, len(self.migrations(self.manager, path)))

    def test_migrations_of_a_server(self):
        path = f'/servers/{self.uuid}/migrations'
        found = self.migrations(self.manager, path)
        self.assertEqual(2, len(found))
        for one in found:
            self.assertEqual({None}, {one[name] for name in _HOSTS})
        (one, _) = self.migrations(self.admin.at_version(LATEST), path)
        self.assertEqual('b', one['dest_compute'])
        reply = self.manager.get(f'{path}/{found[0]["id"]}')
        self.assert_forbidden('servers:migrations:show', reply)
        self.assertEqual(404, self.stranger.get(path).status)

    def test_abort_and_force_complete(self):
        path = f'/servers/{self.uuid}/migrations/1'
        force = {'force_complete': None}
        for client, expected in (
            (self.user.at_version(LATEST), 403),
            (self.stranger, 404),
            # The server is still being built, so the state refuses it.
            (self.manager, 409),
        ):
            reply = client.delete(path)
            self.assertEqual(expected, reply.status, reply.body)
            reply = client.post(f'{path}/action', force)
            self.assertEqual(expected, reply.status, reply.body)

    def test_not_for_members(self):
        member = self.user.at_version(LATEST)
        for path, rule in (
            ('/os-migrations', 'os-migrations:index'),
            (f'/servers/{self.uuid}/migrations', 'servers:migrations:index'),
        ):
            self.assert_forbidden(
                rule,
                member.get(path),
                'managers of the project and administrators',
            )
