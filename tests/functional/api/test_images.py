# SPDX-License-Identifier: Apache-2.0
"""The images of the image service, for clients of the first microversions."""

import datetime

from tests.functional.api import base

UNKNOWN = '7e34a2b6-8f1c-4f0e-9c5b-0d6a1e2f3c4d'


class ImagesTest(base.ApiTestCase):
    """An image of the project, a public one, and one of another project."""

    hosts = ()

    def setUp(self):
        super().setUp()
        self.project = self.project_id()
        self.own = self.image_store.add(
            name='copy',
            visibility='private',
            owner=self.project,
            min_disk=2,
            min_ram=64,
            properties={
                'instance_uuid': UNKNOWN,
                'image_type': 'snapshot',
                'os_type': 'linux',
            },
        )
        self.foreign = self.image_store.add(
            name='foreign', visibility='private', owner='another'
        )

    def project_id(self):
        """Return the project of the user's token."""
        self.make_flavor()
        uuid = self.boot(wait=False)
        return self.cloud.instance(uuid).project_id

    def list(self, query='', client=None):
        reply = (client or self.user).get(f'/images{query}')
        self.assertEqual(200, reply.status, reply.body)
        return [one['id'] for one in reply.body['images']]

    def add_hour(self, **values):
        """Add a public image that is newer than the others."""
        later = self.own.created_at + datetime.timedelta(hours=1)
        return self.image_store.add(
            created_at=later, updated_at=later, **values
        )

    def test_show(self):
        reply = self.user.get(f'/images/{self.own.id}')
        self.assertEqual(200, reply.status, reply.body)
        shown = reply.body['image']
        links = shown.pop('links')
        self.assertEqual(
            ['self', 'bookmark', 'alternate'], [one['rel'] for one in links]
        )
        for one in links:
            self.assertTrue(one['href'].endswith(f'/images/{self.own.id}'))
        self.assertEqual('application/vnd.openstack.image', links[2]['type'])
        self.assertEqual(UNKNOWN, shown.pop('server')['id'])
        moment = self.own.created_at.isoformat()[:19] + 'Z'
        self.assertEqual(
            {
                'id': self.own.id,
                'name': 'copy',
                'minDisk': 2,
                'minRam': 64,
                'metadata': dict(self.own.properties),
                'created': moment,
                'updated': moment,
                'status': 'ACTIVE',
                'progress': 100,
                'OS-EXT-IMG-SIZE:size': 1024,
            },
            shown,
        )

    def test_statuses(self):
        for status, expected in (
            ('queued', ('SAVING', 25)),
            ('saving', ('SAVING', 50)),
            ('killed', ('ERROR', 0)),
            ('pending_delete', ('DELETED', 0)),
            ('importing', ('UNKNOWN', 0)),
        ):
            made = self.image_store.add(status=status)
            shown = self.user.get(f'/images/{made.id}').body['image']
            self.assertEqual(expected, (shown['status'], shown['progress']))

    def test_disk_config(self):
        for value, expected in (('True', 'AUTO'), ('no', 'MANUAL')):
            made = self.image_store.add(properties={'auto_disk_config': value})
            shown = self.user.get(f'/images/{made.id}').body['image']
            self.assertEqual(expected, shown['OS-DCF:diskConfig'])

    def test_list(self):
        self.assertEqual({self.own.id, self.image}, set(self.list()))
        reply = self.user.get('/images')
        for one in reply.body['images']:
            self.assertEqual({'id', 'name', 'links'}, set(one))
        self.assertIn(self.foreign.id, self.list(client=self.admin))
        for values in ({'hidden': True}, {'visibility': 'community'}):
            made = self.image_store.add(**values)
            self.assertNotIn(made.id, self.list())
        detailed = self.user.get('/images/detail').body['images']
        self.assertEqual(
            {self.own.id, self.image}, {d['id'] for d in detailed}
        )
        self.assertEqual({'ACTIVE'}, {d['status'] for d in detailed})

    def test_filters(self):
        own = [self.own.id]
        for query in (
            'name=copy',
            f'server={UNKNOWN}',
            f'server=http://api/servers/{UNKNOWN}',
            'type=snapshot',
            'minRam=64',
            'minDisk=1',
            'property-os_type=linux',
            'status=active&name=copy',
        ):
            self.assertEqual(own, self.list(f'?{query}'), query)
        for query in ('name=no', 'status=SAVING', 'property-os_type=x'):
            self.assertEqual([], self.list(f'?{query}'), query)
        since = self.own.updated_at + datetime.timedelta(minutes=1)
        newer = self.add_hour()
        found = self.list(f'?changes-since={since:%Y-%m-%dT%H:%M:%SZ}')
        self.assertEqual([newer.id], found)
        for query in ('minRam=much', 'changes-since=now', 'limit=-1'):
            self.assertEqual(400, self.user.get(f'/images?{query}').status)

    def test_pages(self):
        newest = self.add_hour()
        reply = self.user.get('/images?limit=1')
        self.assertEqual([newest.id], [i['id'] for i in reply.body['images']])
        (link,) = reply.body['images_links']
        self.assertEqual('next', link['rel'])
        self.assertIn(f'marker={newest.id}', link['href'])
        rest = self.list(f'?marker={newest.id}')
        self.assertEqual({self.own.id, self.image}, set(rest))
        reply = self.user.get(f'/images?marker={UNKNOWN}')
        self.assert_refused(400, 'marker', reply)

    def test_delete(self):
        path = f'/images/{self.own.id}'
        self.assertEqual(204, self.user.delete(path).status)
        self.assertEqual(404, self.user.get(path).status)
        self.assertEqual(404, self.user.delete(path).status)

    def test_images_of_others(self):
        path = f'/images/{self.foreign.id}'
        self.assertEqual(404, self.user.get(path).status)
        self.assertEqual(404, self.user.delete(path).status)
        self.assertEqual(200, self.admin.get(path).status)
        # A public image is visible, and still another project's.
        for reply in (
            self.user.delete(f'/images/{self.image}'),
            self.user.put(f'/images/{self.image}/metadata', {'metadata': {}}),
        ):
            self.assert_refused(403, 'another project', reply)

    def test_protected(self):
        made = self.image_store.add(owner=self.project, protected=True)
        reply = self.user.delete(f'/images/{made.id}')
        self.assert_refused(403, 'protected', reply)

    def test_metadata(self):
        path = f'/images/{self.own.id}/metadata'
        found = dict(self.own.properties)
        self.assertEqual({'metadata': found}, self.user.get(path).body)
        reply = self.user.post(path, {'metadata': {'os_type': 'bsd'}})
        found['os_type'] = 'bsd'
        self.assertEqual(
            (200, {'metadata': found}), (reply.status, reply.body)
        )
        reply = self.user.put(f'{path}/k', {'meta': {'k': 'v'}})
        self.assertEqual({'meta': {'k': 'v'}}, reply.body)
        reply = self.user.get(f'{path}/k')
        self.assertEqual({'meta': {'k': 'v'}}, reply.body)
        self.assertEqual(204, self.user.delete(f'{path}/k').status)
        self.assert_refused(404, 'item was not', self.user.get(f'{path}/k'))
        reply = self.user.delete(f'{path}/k')
        self.assert_refused(404, 'Invalid metadata key', reply)
        reply = self.user.put(path, {'metadata': {'only': 'this'}})
        self.assertEqual({'metadata': {'only': 'this'}}, reply.body)
        self.assertEqual(reply.body, self.user.get(path).body)

    def test_metadata_that_is_refused(self):
        path = f'/images/{self.own.id}/metadata'
        reply = self.user.put(f'{path}/k', {'meta': {'other': 'v'}})
        self.assert_refused(400, 'URI mismatch', reply)
        for body in ({}, {'metadata': {'k': 1}}, {'metadata': []}):
            self.assertEqual(400, self.user.post(path, body).status)
        reply = self.user.post(path, {'metadata': {'status': 'active'}})
        self.assert_refused(400, 'status is an attribute', reply)
        self.config('quota', metadata_items=3)
        reply = self.user.post(path, {'metadata': {'k': 'v'}})
        self.assert_refused(403, 'metadata limit exceeded', reply)
        self.assertNotIn('k', self.user.get(path).body['metadata'])
