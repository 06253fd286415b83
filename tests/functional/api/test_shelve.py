# SPDX-License-Identifier: Apache-2.0
"""Shelve, shelveOffload and unshelve: requests and replies."""

from minova import exception
from minova.api.resources import shelve
from minova.api.schemas import server_actions as schemas
from minova.db import tables
from minova.db.queries import hosts
from tests.functional.api import base


class ShelveTest(base.ApiTestCase):
    """Two hosts, each in a zone of its own."""

    hosts = ('a', 'b')

    def setUp(self):
        super().setUp()
        self.config('conductor', shelved_offload_time=-1)
        # The image service of the API is that of the hosts.
        own, snapshots = self.image_store.show, self.cloud.images.show

        def show(context, image_id):
            known = image_id in self.image_store.by_id
            return (own if known else snapshots)(context, image_id)

        self.image_store.show = show
        self.make_flavor()
        self.uuid = self.boot()

    def act(self, action, content=None, status=202, client=None):
        reply = (client or self.user).act(self.uuid, action, content)
        self.assertEqual(status, reply.status, reply.body)
        self.cloud.settle(self.uuid)
        return reply

    def shelved_image(self):
        return self.cloud.instance(self.uuid).shelved_image_id

    def offload(self):
        self.act('shelve')
        self.act('shelveOffload', client=self.admin)

    def test_shelve_offload_unshelve(self):
        self.assertIsNone(self.act('shelve').body)
        self.assertEqual('SHELVED', self.show(self.uuid)['status'])
        project = self.cloud.instance(self.uuid).project_id
        (image,) = self.cloud.images.list_owned(project, {})
        self.assertEqual(self.shelved_image(), image.id)
        self.assertEqual('web-shelved', image.name)
        self.assertEqual('snapshot', image.properties['image_type'])
        self.act('shelveOffload', status=403)
        self.act('shelveOffload', client=self.admin)
        shown = self.show(self.uuid, self.admin)
        self.assertEqual('SHELVED_OFFLOADED', shown['status'])
        self.assertIsNone(shown['OS-EXT-SRV-ATTR:host'])
        self.assertEqual('', shown['hostId'])
        self.assertEqual([self.uuid], self.ids(self.user))
        self.assertEqual(
            [self.uuid], self.ids(self.user, '?status=SHELVED_OFFLOADED')
        )
        self.act('unshelve')
        self.assertEqual('ACTIVE', self.show(self.uuid)['status'])
        reply = self.user.get(f'/servers/{self.uuid}/os-instance-actions')
        self.assertEqual(
            ['unshelve', 'shelveOffload', 'shelve', 'create'],
            [one['action'] for one in reply.body['instanceActions']],
        )

    def test_other_actions(self):
        self.offload()
        for action, content in (
            ('os-start', None),
            ('os-stop', None),
            ('reboot', {'type': 'HARD'}),
            ('pause', None),
            ('shelve', None),
            ('rescue', None),
            ('resize', {'flavorRef': self.make_flavor('big', ram=600)}),
            ('createImage', {'name': 'x'}),
        ):
            reply = self.user.act(self.uuid, action, content)
            self.assert_refused(409, 'vm_state shelved_offloaded', reply)
        reply = self.admin.act(
            self.uuid,
            'os-migrateLive',
            {
                'host': None,
                'block_migration': False,
                'disk_over_commit': False,
            },
        )
        self.assert_refused(409, 'vm_state shelved_offloaded', reply)
        self.assertEqual(204, self.user.delete(f'/servers/{self.uuid}').status)
        self.cloud.settle(self.uuid)

    def test_states(self):
        for action, client in (
            ('unshelve', self.user),
            ('shelveOffload', self.admin),
        ):
            reply = client.act(self.uuid, action)
            self.assert_refused(409, 'vm_state active', reply)

    def test_bodies(self):
        self.act('shelve')
        zone = {'availability_zone': 'nova'}
        for version, content in (
            ('2.76', zone),
            ('2.77', {}),
            ('2.77', {'availability_zone': None}),
            ('2.77', {'host': 'a'}),
            ('2.86', {**zone, 'host': 'a'}),
            ('2.86', {'availability_zone': ''}),
        ):
            reply = self.admin.at_version(version).act(
                self.uuid, 'unshelve', content
            )
            self.assertEqual(400, reply.status, (version, content))
        reply = self.user.at_version('2.77').act(self.uuid, 'unshelve', zone)
        self.assert_refused(409, 'still on its host', reply)
        self.act('unshelve', client=self.user.at_version('2.77'))

    def test_bodies_with_a_host(self):
        for content in (
            None,
            {'host': 'a'},
            {'availability_zone': None},
            {'availability_zone': 'nova', 'host': 'a'},
            {'availability_zone': None, 'host': 'a'},
        ):
            schemas.UNSHELVE.validate({'unshelve': content}, 91, False)
        for content in ({}, {'host': None}, {'host': 'a', 'more': 1}):
            self.assertRaises(
                exception.InvalidInput,
                schemas.UNSHELVE.validate,
                {'unshelve': content},
                91,
                False,
            )

    def set_zone(self, host, zone):
        def work(connection):
            (row,) = hosts.list_hosts(connection, host)
            connection.execute(
                tables.hosts.update()
                .where(tables.hosts.c.id == row.id)
                .values(availability_zone=zone)
            )

        self.cloud.database.write(work)

    def test_zone(self):
        self.offload()
        self.set_zone('b', 'east')
        user = self.user.at_version('2.77')
        reply = user.act(self.uuid, 'unshelve', {'availability_zone': 'west'})
        self.assert_refused(400, 'west has no host', reply)
        self.act('unshelve', {'availability_zone': 'east'}, client=user)
        instance = self.cloud.instance(self.uuid)
        self.assertEqual('b', instance.host)
        # It stays in the zone.
        self.assertEqual('east', instance.request_spec.availability_zone)

    def unshelve_to(self, **requested):
        def prepare(connection, instance):
            return shelve.describe_destination(
                connection, instance, requested
            ).replace(disk_format='raw')

        return self.cloud.begin('unshelve', self.uuid, prepare)

    def test_host(self):
        self.offload()
        self.set_zone('b', 'east')
        self.assertRaises(
            exception.InvalidInput, self.unshelve_to, host='nowhere'
        )
        self.assertRaises(
            exception.UnshelveHostNotInAZ,
            self.unshelve_to,
            host='a',
            availability_zone='east',
        )
        instance = self.unshelve_to(host='b', availability_zone='east')
        self.assertEqual('b', instance.host)
        self.offload()
        # Without another zone it stays in its own.
        self.assertRaises(
            exception.UnshelveHostNotInAZ, self.unshelve_to, host='a'
        )
        instance = self.unshelve_to(host='a', availability_zone=None)
        self.assertEqual('a', instance.host)
        self.assertIsNone(instance.request_spec.availability_zone)

    def test_image_that_was_deleted(self):
        self.offload()
        self.cloud.images.discard(self.shelved_image())
        reply = self.user.act(self.uuid, 'unshelve')
        self.assert_refused(409, 'cannot be unshelved: its image', reply)
        self.assertEqual('SHELVED_OFFLOADED', self.show(self.uuid)['status'])

    def test_quota_counts_offloaded_servers(self):
        self.config('quota', instances=1)
        self.offload()
        reply = self.user.post('/servers', {'server': self.server()})
        self.assertEqual(403, reply.status)

    def test_locked_server(self):
        self.act('lock')
        reply = self.user.act(self.uuid, 'shelve')
        self.assert_refused(409, 'is locked', reply)
