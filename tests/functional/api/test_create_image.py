# SPDX-License-Identifier: Apache-2.0
"""The actions createImage and createBackup."""

from minova import exception
from tests.functional.api import base


class CreateImageTest(base.ApiTestCase):
    """Requests, replies, and the record of the image."""

    hosts = ('a',)

    def setUp(self):
        super().setUp()
        base_image = self.image_store.add(
            min_disk=1,
            min_ram=64,
            properties={
                'hw_disk_bus': 'virtio',
                'os_type': 'linux',
                'img_signature': 'x',
            },
        )
        self.image = base_image.id
        self.make_flavor()
        self.uuid = self.boot()
        self.user = self.user.at_version('2.45')

    def stored(self):
        """Return the images of the project, the newest first."""
        self.cloud.settle(self.uuid)
        project = self.cloud.instance(self.uuid).project_id
        return self.cloud.images.list_owned(project, {})

    def test_snapshot(self):
        body = {'name': 'copy', 'metadata': {'purpose': 'test'}}
        reply = self.user.act(self.uuid, 'createImage', body)
        self.assertEqual(202, reply.status)
        (stored,) = self.stored()
        self.assertEqual({'image_id': stored.id}, reply.body)
        self.assertEqual(
            ('copy', 'active', 'private', 1, 64),
            (
                stored.name,
                stored.status,
                stored.visibility,
                stored.min_disk,
                stored.min_ram,
            ),
        )
        instance = self.cloud.instance(self.uuid)
        self.assertEqual(
            {
                'base_image_ref': self.image,
                'hw_disk_bus': 'virtio',
                'image_location': 'snapshot',
                'image_state': 'available',
                'image_type': 'snapshot',
                'instance_uuid': self.uuid,
                'os_type': 'linux',
                'owner_id': instance.project_id,
                'purpose': 'test',
                'user_id': instance.user_id,
            },
            dict(stored.properties),
        )

    def test_location_before_2_45(self):
        self.config('notifications', image_url='http://images/v2')
        older = self.user.at_version('2.44')
        reply = older.act(self.uuid, 'createImage', {'name': 'copy'})
        self.assertEqual((202, None), (reply.status, reply.body))
        (stored,) = self.stored()
        self.assertEqual(
            f'http://images/v2/images/{stored.id}', reply.headers['location']
        )

    def test_image_service_that_is_away(self):
        def fail(image):
            raise exception.Unavailable(what='Glance', reason='503')

        self.image_store.reserve = fail
        reply = self.user.act(self.uuid, 'createImage', {'name': 'copy'})
        self.assertEqual(202, reply.status)
        (stored,) = self.stored()
        self.assertEqual(
            (reply.body['image_id'], 'active'), (stored.id, stored.status)
        )

    def test_invalid_requests(self):
        for body, text in (
            ({}, 'name'),
            ({'name': ''}, 'createImage.name'),
            ({'name': 'x', 'more': 1}, 'more'),
            ({'name': 'x', 'metadata': {'a': 1}}, 'metadata'),
            (
                {'name': 'x', 'metadata': {'visibility': 'public'}},
                'visibility',
            ),
        ):
            reply = self.user.act(self.uuid, 'createImage', body)
            self.assert_refused(400, text, reply)
        self.config('quota', metadata_items=1)
        body = {'name': 'x', 'metadata': {'a': '1', 'b': '2'}}
        reply = self.user.act(self.uuid, 'createImage', body)
        self.assert_refused(403, 'Image metadata limit exceeded', reply)
        self.assertEqual([], self.stored())

    def test_backup(self):
        body = {'name': 'b', 'backup_type': 'daily', 'rotation': '1'}
        first = self.user.act(self.uuid, 'createBackup', body)
        (one,) = self.stored()
        self.assertEqual({'image_id': one.id}, first.body)
        self.assertEqual('backup', one.properties['image_type'])
        self.assertEqual('daily', one.properties['backup_type'])
        second = self.user.act(self.uuid, 'createBackup', body)
        (two,) = self.stored()
        self.assertEqual({'image_id': two.id}, second.body)
        body['rotation'] = 0
        reply = self.user.act(self.uuid, 'createBackup', body)
        self.assertEqual((202, None), (reply.status, reply.body))
        self.assertNotIn('location', reply.headers)
        self.assertEqual([], self.stored())

    def test_invalid_backups(self):
        for change, text in (
            ({'rotation': -1}, 'rotation'),
            ({'rotation': 'x'}, 'rotation'),
            ({'backup_type': None}, 'backup_type'),
            ({'name': ' '}, 'name'),
        ):
            body = {'name': 'b', 'backup_type': 'daily', 'rotation': 1}
            reply = self.user.act(self.uuid, 'createBackup', body | change)
            self.assert_refused(400, text, reply)

    def test_locked_server(self):
        self.user.act(self.uuid, 'lock')
        reply = self.user.act(self.uuid, 'createImage', {'name': 'copy'})
        self.assert_refused(409, 'is locked', reply)

    def test_other_project(self):
        reply = self.other.act(self.uuid, 'createImage', {'name': 'copy'})
        self.assertEqual(404, reply.status)
