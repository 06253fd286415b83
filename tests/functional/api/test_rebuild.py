# SPDX-License-Identifier: Apache-2.0
"""The action rebuild, at each microversion."""

import base64

from minova.db import tables
from tests.functional.api import base
from tests.functional.api.base import LATEST

NOWHERE = '9f4b2c1e-0000-4000-8000-000000000000'
#: The keys of the reply before 2.9.
_KEYS = {
    'OS-DCF:diskConfig',
    'accessIPv4',
    'accessIPv6',
    'addresses',
    'adminPass',
    'created',
    'flavor',
    'hostId',
    'id',
    'image',
    'links',
    'metadata',
    'name',
    'progress',
    'status',
    'tenant_id',
    'updated',
    'user_id',
}
_DATA = base64.b64encode(b'#!/bin/sh').decode()


class RebuildTest(base.ApiTestCase):
    """A server gets another image."""

    hosts = ('a',)

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.uuid = self.boot(metadata={'a': 'b'})
        self.other = self.image_store.add(name='other').id

    def rebuild(self, client=None, status=202, **values):
        reply = (client or self.user).act(
            self.uuid, 'rebuild', {'imageRef': self.other} | values
        )
        self.assertEqual(status, reply.status, reply.body)
        self.cloud.settle(self.uuid)
        return reply

    def instance(self):
        return self.cloud.instance(self.uuid)

    def test_reply_by_version(self):
        for version, more in (
            ('2.1', set()),
            ('2.9', {'locked'}),
            ('2.19', {'locked', 'description'}),
            ('2.26', {'locked', 'description', 'tags'}),
            ('2.54', {'locked', 'description', 'tags', 'key_name'}),
            (
                '2.57',
                {'locked', 'description', 'tags', 'key_name', 'user_data'},
            ),
        ):
            reply = self.rebuild(
                self.user.at_version(version), adminPass='secret'
            )
            server = reply.body['server']
            self.assertEqual(_KEYS | more, set(server), version)
            self.assertEqual('secret', server['adminPass'])
            self.assertEqual('REBUILD', server['status'])
            self.assertEqual(self.other, server['image']['id'])
            self.assertEqual(
                server['links'][0]['href'], reply.headers['location']
            )
        reply = self.rebuild(self.user.at_version(LATEST))
        shown = self.show(self.uuid, self.user.at_version(LATEST))
        self.assertEqual(
            set(shown) | {'adminPass', 'user_data'}, set(reply.body['server'])
        )
        self.assertGreater(len(reply.body['server']['adminPass']), 8)

    def test_all_parameters(self):
        before = self.instance()
        self.assertEqual({'a': 'b'}, before.metadata)
        self.rebuild(
            self.user.at_version('2.57'),
            **{
                'name': 'new',
                'description': 'rebuilt',
                'metadata': {'c': 'd'},
                'accessIPv4': '192.0.2.1',
                'accessIPv6': '2001:db8::1',
                'OS-DCF:diskConfig': 'AUTO',
                'user_data': _DATA,
                'key_name': None,
                'preserve_ephemeral': True,
            },
        )
        after = self.instance()
        self.assertEqual(
            (
                'new',
                'rebuilt',
                {'c': 'd'},
                '192.0.2.1',
                '2001:db8::1',
                True,
                _DATA,
                None,
                self.other,
            ),
            (
                after.display_name,
                after.display_description,
                after.metadata,
                after.access_ip_v4,
                after.access_ip_v6,
                after.auto_disk_config,
                after.user_data,
                after.key_name,
                after.image_ref,
            ),
        )
        self.assertEqual(before.hostname, after.hostname)
        self.assertEqual(before.network_info, after.network_info)
        self.rebuild(self.user.at_version('2.57'), user_data=None)
        self.assertIsNone(self.instance().user_data)

    def test_what_is_not_given_stays(self):
        self.rebuild(self.user.at_version('2.57'), user_data=_DATA)
        before = self.instance()
        self.rebuild(self.user.at_version('2.57'))
        after = self.instance()
        for name in ('display_name', 'metadata', 'user_data', 'key_name'):
            self.assertEqual(getattr(before, name), getattr(after, name))

    def test_properties_of_the_new_image(self):
        image = self.image_store.add(
            properties={'os_type': 'linux', 'img_config_drive': 'mandatory'}
        )
        self.rebuild(imageRef=image.id)
        after = self.instance()
        self.assertEqual('linux', after.os_type)
        self.assertTrue(after.config_drive)
        disks = self.cloud.world.get_disks('a', self.uuid)
        self.assertEqual('web', disks['config_drive']['hostname'])

    def test_key(self):
        reply = self.user.post('/os-keypairs', {'keypair': {'name': 'mine'}})
        self.assertEqual(200, reply.status, reply.body)
        public_key = reply.body['keypair']['public_key']
        client = self.user.at_version('2.54')
        reply = self.rebuild(client, key_name='mine')
        self.assertEqual('mine', reply.body['server']['key_name'])
        self.assertEqual(public_key, self.instance().key_data)
        self.rebuild(client, key_name=None)
        self.assertIsNone(self.instance().key_data)
        self.assert_refused(
            400,
            'has no key pair',
            self.rebuild(client, 400, key_name='other'),
        )

    def test_parameters_by_version(self):
        for since, until, values in (
            (19, None, {'description': 'x'}),
            (54, None, {'key_name': None}),
            (57, None, {'user_data': _DATA}),
            (63, None, {'trusted_image_certificates': None}),
            (1, 56, {'personality': []}),
        ):
            last = until or since
            self.rebuild(self.user.at_version(f'2.{last}'), **values)
            outside = until + 1 if until else since - 1
            reply = self.rebuild(
                self.user.at_version(f'2.{outside}'), 400, **values
            )
            self.assertIn(next(iter(values)), str(reply.body))

    def test_refusals(self):
        queued = self.image_store.add(status='queued').id
        greedy = self.image_store.add(min_ram=2048).id
        large = self.image_store.add(min_disk=50).id
        for values, text in (
            ({'imageRef': NOWHERE}, f'Can not find requested image {NOWHERE}'),
            ({'imageRef': queued}, 'is not active'),
            ({'imageRef': greedy}, 'The image needs 2048 MiB'),
            ({'imageRef': large}, 'The image needs 50 GiB'),
            ({'personality': [{'path': 'x'}]}, 'does not inject files'),
            ({'metadata': dict.fromkeys(map(str, range(200)), 'x')}, None),
            ({'name': ''}, 'rebuild.name'),
            ({'preserve_ephemeral': 'perhaps'}, 'preserve_ephemeral'),
        ):
            known = len(self.cloud.operations(self.uuid))
            reply = self.rebuild(status=403 if text is None else 400, **values)
            self.assertIn(text or 'metadata items', str(reply.body))
            self.assertEqual(known, len(self.cloud.operations(self.uuid)))
        client = self.user.at_version('2.63')
        reply = self.rebuild(client, 400, trusted_image_certificates=['x'])
        self.assertIn('does not verify image signatures', str(reply.body))
        reply = self.user.act(self.uuid, 'rebuild', {'name': 'x'})
        self.assert_refused(400, 'imageRef', reply)

    def test_states_and_locks(self):
        self.user.act(self.uuid, 'pause')
        self.cloud.settle(self.uuid)
        self.assert_refused(
            409,
            f"Cannot 'rebuild' instance {self.uuid} while it",
            self.rebuild(status=409),
        )
        self.user.act(self.uuid, 'unpause')
        self.cloud.settle(self.uuid)
        self.user.act(self.uuid, 'lock')
        self.assert_refused(409, 'is locked', self.rebuild(status=409))

    def test_failure(self):
        self.cloud.world.inject_fault('a', 'start', 'no boot sector')
        self.rebuild()
        shown = self.show(self.uuid)
        self.assertEqual('ACTIVE', shown['status'])
        self.assertEqual(self.image, shown['image']['id'])
        actions = self.user.at_version(LATEST).get(
            f'/servers/{self.uuid}/os-instance-actions'
        )
        self.assertEqual(
            'rebuild', actions.body['instanceActions'][0]['action']
        )

    def test_root_disk_of_the_size_of_its_image(self):
        flavor = self.make_flavor('zero', disk=0)
        small = self.image_store.add(virtual_size=1 << 30).id
        large = self.image_store.add(virtual_size=3 << 30).id
        self.uuid = self.boot(self.admin, flavorRef=flavor, imageRef=small)
        reply = self.rebuild(self.admin, 400, imageRef=large)
        self.assertIn('the root disk of the server has 1 GiB', str(reply.body))
        self.rebuild(self.admin, imageRef=small)

    def test_a_claim_that_is_missing_is_made_again(self):
        where = tables.allocations.c.instance_uuid == self.uuid
        self.cloud.database.write(
            lambda c: c.execute(tables.allocations.delete().where(where))
        )
        self.rebuild()
        held = self.cloud.allocations(self.uuid)
        self.assertEqual({('a', True): 1}, dict(held))
