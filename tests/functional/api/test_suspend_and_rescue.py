# SPDX-License-Identifier: Apache-2.0
"""Suspend, rescue and force-complete."""

from minova.db import tables
from tests.fixtures.newer_methods import NewerMethods
from tests.functional.api import base
from tests.functional.api.base import LATEST

NOWHERE = '9f4b2c1e-0000-4000-8000-000000000000'


class SuspendTest(base.ApiTestCase):
    """The actions suspend and resume."""

    hosts = ('a',)

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.uuid = self.boot()

    def act(self, action, status=202):
        reply = self.user.act(self.uuid, action)
        self.assertEqual(status, reply.status, reply.body)
        self.cloud.settle(self.uuid)
        return reply

    def test_suspend_and_resume(self):
        self.assertIsNone(self.act('suspend').body)
        shown = self.show(self.uuid)
        self.assertEqual('SUSPENDED', shown['status'])
        # Consumers see a suspended guest in this state.
        self.assertEqual(4, shown['OS-EXT-STS:power_state'])
        self.assertEqual('suspended', shown['OS-EXT-STS:vm_state'])
        self.act('resume')
        shown = self.show(self.uuid)
        self.assertEqual('ACTIVE', shown['status'])
        self.assertEqual(1, shown['OS-EXT-STS:power_state'])
        reply = self.user.get(f'/servers/{self.uuid}/os-instance-actions')
        self.assertEqual(
            ['resume', 'suspend', 'create'],
            [one['action'] for one in reply.body['instanceActions']],
        )

    def test_actions_forbidden_while_rescued(self):
        reply = self.act('resume', 409)
        self.assert_refused(
            409, f"Cannot 'resume' instance {self.uuid} while it", reply
        )
        self.act('suspend')
        for action, content in (
            ('suspend', None),
            ('pause', None),
            ('os-stop', None),
            ('rescue', None),
            ('resize', {'flavorRef': self.make_flavor('big', ram=600)}),
        ):
            reply = self.user.act(self.uuid, action, content)
            self.assert_refused(409, 'vm_state suspended', reply)
        self.assertEqual('SUSPENDED', self.show(self.uuid)['status'])

    def test_pinned_cluster_refuses(self):
        self.useFixture(NewerMethods('suspend_instance'))
        self.config('upgrade_levels', compute='1.0')
        reply = self.act('suspend', 409)
        self.assert_refused(409, 'suspend_instance came with 1.1', reply)
        self.assertEqual('ACTIVE', self.show(self.uuid)['status'])


class RescueTest(base.ApiTestCase):
    """The actions rescue and unrescue."""

    hosts = ('a',)

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.uuid = self.boot()

    def rescue(self, content=None, status=200):
        reply = self.user.act(self.uuid, 'rescue', content)
        self.assertEqual(status, reply.status, reply.body)
        self.cloud.settle(self.uuid)
        return reply

    def rescued_with(self):
        record = self.cloud.world.guest('a', self.uuid)['spec']['rescue']
        return record and record['image_id']

    def test_with_its_own_image(self):
        for content in (None, {}):
            reply = self.rescue(content)
            self.assertEqual(['adminPass'], list(reply.body))
            self.assertGreater(len(reply.body['adminPass']), 8)
            self.assertEqual('RESCUE', self.show(self.uuid)['status'])
            self.assertEqual(self.image, self.rescued_with())
            reply = self.user.act(self.uuid, 'unrescue')
            self.assertEqual((202, None), (reply.status, reply.body))
            self.cloud.settle(self.uuid)
            self.assertEqual('ACTIVE', self.show(self.uuid)['status'])
            self.assertIsNone(self.rescued_with())

    def test_with_another_one_and_a_password(self):
        tools = self.image_store.add(name='tools').id
        content = {'adminPass': 'MySecret', 'rescue_image_ref': tools}
        reply = self.rescue(content)
        self.assertEqual({'adminPass': 'MySecret'}, reply.body)
        self.assertEqual(tools, self.rescued_with())
        # The image of the server is unchanged.
        self.assertEqual(self.image, self.show(self.uuid)['image']['id'])
        names = [
            payload['rescue_image_name']
            for event, _, payload, _ in self.cloud.consumer.of_instance(
                self.uuid
            )
            if 'rescue.' in event
        ]
        self.assertEqual(['tools', 'tools'], names)

    def test_image_as_a_url(self):
        tools = self.image_store.add(name='tools').id
        self.rescue({'rescue_image_ref': f'http://cloud/v2/images/{tools}'})
        self.assertEqual(tools, self.rescued_with())

    def test_rescue_image_that_does_not_start(self):
        tools = self.image_store.add(name='tools').id
        self.rescue({'rescue_image_ref': tools})
        self.cloud.world.inject_fault('a', 'start', 'no boot sector')
        self.user.act(self.uuid, 'unrescue')
        self.cloud.settle(self.uuid)
        self.assertEqual('RESCUE', self.show(self.uuid)['status'])
        self.assertEqual(tools, self.rescued_with())

    def test_image_not_bootable(self):
        queued = self.image_store.add(status='queued').id
        greedy = self.image_store.add(min_ram=2048).id
        for image, text in (
            (NOWHERE, f'Can not find requested image {NOWHERE}'),
            (queued, 'is not active'),
            (greedy, 'The image needs 2048 MiB'),
        ):
            reply = self.rescue({'rescue_image_ref': image}, 400)
            self.assert_refused(400, text, reply)
        self.assertEqual('ACTIVE', self.show(self.uuid)['status'])

    def test_own_image_is_deleted(self):
        self.image_store.by_id.clear()
        self.rescue()
        self.assertEqual('RESCUE', self.show(self.uuid)['status'])
        self.assertEqual(self.image, self.rescued_with())

    def test_contents(self):
        for content, text in (
            ({'adminPass': 7}, 'rescue.adminPass: must be of type string'),
            ({'rescue_image_ref': 'x'}, 'must be the UUID of an image'),
            ({'x': 1}, "no field 'x'"),
            ([], 'rescue: must be of type object or null'),
        ):
            reply = self.rescue(content, 400)
            self.assert_refused(400, text, reply)

    def test_states(self):
        reply = self.user.act(self.uuid, 'unrescue')
        self.assert_refused(409, "Cannot 'unrescue' instance", reply)
        self.rescue()
        for action, content in (
            ('rescue', None),
            ('reboot', {'type': 'HARD'}),
            ('os-stop', None),
            ('suspend', None),
        ):
            reply = self.user.act(self.uuid, action, content)
            self.assert_refused(409, 'vm_state rescued', reply)

    def test_of_another_project(self):
        reply = self.other.act(self.uuid, 'rescue')
        self.assert_refused(404, f'Instance {self.uuid}', reply)


class ForceCompleteTest(base.ApiTestCase):
    """Actions of a live migration in progress."""

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.uuid = self.boot()

    def migrating(self):
        """Begin a live migration that does not end; return its path."""
        self.config('fake', migration_seconds=3600)
        host = self.cloud.instance(self.uuid).host
        reply = self.admin.at_version('2.25').act(
            self.uuid,
            'os-migrateLive',
            {'host': None, 'block_migration': 'auto'},
        )
        self.assertEqual(202, reply.status, reply.body)
        driver = self.cloud.driver(host)
        self.cloud.wait_for(
            lambda: driver.migration_status(self.uuid).state == 'running'
        )
        path = f'/servers/{self.uuid}/migrations'
        (move,) = self.admin.at_version('2.23').get(path).body['migrations']
        return host, f'{path}/{move["id"]}/action'

    def force(self, path, version='2.22', content=None, client=None):
        client = client or self.admin
        return client.at_version(version).post(
            path, content or {'force_complete': {}}
        )

    def test_force_complete(self):
        host, path = self.migrating()
        reply = self.force(path, content={'force_complete': None})
        self.assertEqual((202, None), (reply.status, reply.body))
        self.cloud.settle(self.uuid)
        self.assertEqual('ACTIVE', self.show(self.uuid)['status'])
        self.assertNotEqual(host, self.cloud.instance(self.uuid).host)
        reply = self.admin.get(f'/servers/{self.uuid}/os-instance-actions')
        self.assertIn(
            'live_migration_force_complete',
            [one['action'] for one in reply.body['instanceActions']],
        )
        # The migration has ended.
        reply = self.force(path)
        self.assert_refused(409, "Cannot 'force_complete' instance", reply)

    def test_refusals(self):
        _, path = self.migrating()
        reply = self.force(path, '2.21')
        self.assert_refused(404, 'could not be found', reply)
        reply = self.force(path, LATEST, client=self.user)
        self.assert_refused(403, 'servers:migrations:force_complete', reply)
        reply = self.force(path, content={'force': None})
        self.assert_refused(400, 'lacks force_complete', reply)
        other = path.replace('/action', '7/action')
        self.assert_refused(404, 'not found', self.force(other))
        self.cloud.database.write(
            lambda c: c.execute(
                tables.migrations.update().values(status='preparing')
            )
        )
        reply = self.force(path)
        self.assert_refused(400, 'Cannot force_complete while the', reply)
        self.cloud.database.write(
            lambda c: c.execute(
                tables.migrations.update().values(status='running')
            )
        )
        self.assertEqual(202, self.force(path).status)
        self.cloud.settle(self.uuid)
