# SPDX-License-Identifier: Apache-2.0
"""Soft delete and restore: requests, replies and lists."""

from tests.functional.api import base
from tests.functional.api.base import LATEST


class DeferredDeleteTest(base.ApiTestCase):
    """Deleted servers are kept for a day."""

    hosts = ('a', 'b')

    def setUp(self):
        super().setUp()
        self.config('conductor', reclaim_instance_interval=86400)
        self.make_flavor()
        self.uuid = self.boot()

    def delete(self, status=204):
        reply = self.user.delete(f'/servers/{self.uuid}')
        self.assertEqual(status, reply.status, reply.body)
        self.cloud.settle(self.uuid)
        return reply

    def listed(self, query='', client=None):
        return self.ids(client or self.user, query)

    def operations(self):
        return [one.kind for one in self.cloud.operations(self.uuid)]

    def test_delete_and_restore(self):
        self.assertIsNone(self.delete().body)
        shown = self.show(self.uuid)
        self.assertEqual('SOFT_DELETED', shown['status'])
        self.assertEqual('soft-delete', shown['OS-EXT-STS:vm_state'])
        reply = self.user.act(self.uuid, 'os-start')
        self.assert_refused(409, 'vm_state soft-delete', reply)
        reply = self.user.act(self.uuid, 'restore')
        self.assertEqual((202, None), (reply.status, reply.body))
        self.cloud.settle(self.uuid)
        self.assertEqual('ACTIVE', self.show(self.uuid)['status'])
        reply = self.user.get(f'/servers/{self.uuid}/os-instance-actions')
        self.assertEqual(
            ['restore', 'delete', 'create'],
            [one['action'] for one in reply.body['instanceActions']],
        )
        reply = self.user.act(self.uuid, 'restore')
        self.assert_refused(
            409,
            f"Cannot 'restore' instance {self.uuid} while it is in vm_state "
            'active; it must be soft-delete',
            reply,
        )

    def test_delete_again_changes_nothing(self):
        self.delete()
        before = self.operations()
        self.delete()
        self.assertEqual(before, self.operations())

    def test_lists(self):
        self.delete()
        self.assertEqual([], self.listed())
        self.assertEqual([], self.listed('?status=ACTIVE'))
        self.assertEqual([self.uuid], self.listed('?status=SOFT_DELETED'))
        # As of a user, who may not use these filters.
        self.assertEqual([], self.listed('?deleted=true'))
        self.assertEqual([], self.listed('?soft_deleted=true'))
        for query, found in (
            ('', []),
            ('&deleted=true', [self.uuid]),
            ('&soft_deleted=true', [self.uuid]),
            ('&deleted=true&soft_deleted=false', []),
            ('&vm_state=soft-delete', [self.uuid]),
            ('&changes-since=2020-01-01T00:00:00Z', [self.uuid]),
        ):
            listed = self.listed(f'?all_tenants=1{query}', self.admin)
            self.assertEqual(found, listed, query)

    def test_force_delete(self):
        self.delete()
        reply = self.user.act(self.uuid, 'forceDelete')
        self.assertEqual(202, reply.status)
        self.cloud.settle(self.uuid)
        self.assertEqual(404, self.user.get(f'/servers/{self.uuid}').status)

    def test_busy_server(self):
        self.cloud.world.inject_delay(
            self.cloud.instance(self.uuid).host, 'pause', 1.0
        )
        self.user.act(self.uuid, 'pause')
        reply = self.user.delete(f'/servers/{self.uuid}')
        self.assert_refused(
            409,
            f"Cannot 'delete' instance {self.uuid} while it is in task_state "
            'pausing; try again when that operation has ended, or use '
            'forceDelete, after which the server cannot be restored',
            reply,
        )
        self.cloud.settle(self.uuid)
        self.delete()

    def test_server_that_was_never_built(self):
        big = self.make_flavor('huge', ram=10**7)
        uuid = self.boot(flavorRef=big)
        self.assertEqual('ERROR', self.show(uuid)['status'])
        self.assertEqual(204, self.user.delete(f'/servers/{uuid}').status)
        self.cloud.settle(uuid)
        self.assertEqual(404, self.user.get(f'/servers/{uuid}').status)

    def test_resized_server_is_confirmed_before(self):
        big = self.make_flavor('big', ram=600)
        self.user.act(self.uuid, 'resize', {'flavorRef': big})
        self.cloud.settle(self.uuid)
        self.delete()
        self.assertEqual(
            ['create', 'resize', 'confirm_resize', 'soft_delete'],
            self.operations(),
        )
        self.user.act(self.uuid, 'restore')
        self.cloud.settle(self.uuid)
        host = self.cloud.instance(self.uuid).host
        self.assertEqual([host], self.cloud.world.running(self.uuid))
        self.assertEqual({host}, {h for h, _ in self.claims()})

    def claims(self):
        return list(self.cloud.allocations(self.uuid))

    def test_locked_server(self):
        self.delete()
        self.user.act(self.uuid, 'lock')
        self.assert_refused(
            409, 'is locked', self.user.act(self.uuid, 'restore')
        )
        self.assertEqual(202, self.admin.act(self.uuid, 'restore').status)

    def test_bodies(self):
        self.delete()
        for content in ({'a': 1}, 'x', 1, []):
            reply = self.user.act(self.uuid, 'restore', content)
            self.assertEqual(400, reply.status, content)
        user = self.user.at_version(LATEST)
        self.assertEqual(202, user.act(self.uuid, 'restore', {}).status)

    def create(self):
        return self.user.post('/servers', {'server': self.server()})

    def test_quota(self):
        self.config('quota', instances=1)
        self.assertEqual(403, self.create().status)
        self.delete()
        reply = self.create()
        self.assertEqual(202, reply.status, reply.body)
        self.cloud.settle(reply.body['server']['id'])
        reply = self.user.act(self.uuid, 'restore')
        self.assert_refused(403, 'Quota exceeded for instances', reply)
        self.assertEqual('SOFT_DELETED', self.show(self.uuid)['status'])

    def test_quota_counts_a_restore_that_has_begun(self):
        self.config('quota', instances=1)
        self.delete()
        host = self.cloud.instance(self.uuid).host
        self.cloud.world.inject_delay(host, 'start', 1.0)
        self.assertEqual(202, self.user.act(self.uuid, 'restore').status)
        self.assertEqual(403, self.create().status)
        self.cloud.settle(self.uuid)
