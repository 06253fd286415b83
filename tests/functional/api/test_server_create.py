# SPDX-License-Identifier: Apache-2.0
"""POST /servers: created servers, and refusals before any write."""

import base64
import os

from minova.api.resources import server_create
from minova.db import tables
from tests.functional.api import base
from tests.functional.api.base import LATEST


class CreateTest(base.ApiTestCase):
    """Servers are built."""

    def setUp(self):
        super().setUp()
        self.make_flavor()

    def test_becomes_active(self):
        uuid = self.boot()
        shown = self.show(uuid)
        self.assertEqual('ACTIVE', shown['status'])
        self.assertEqual(1, shown['OS-EXT-STS:power_state'])
        self.assertEqual('nova', shown['OS-EXT-AZ:availability_zone'])
        self.assertIsNotNone(shown['OS-SRV-USG:launched_at'])
        received = self.cloud.consumer.of_instance(uuid)
        self.assertEqual('api.api', received[0][1])
        (started,) = [h for h in received if h[0].endswith('create.start')]
        self.assertEqual('cirros', started[2]['image_name'])

    def test_zone(self):
        uuid = self.boot(availability_zone='nova')
        self.assertEqual(
            'nova', self.show(uuid)['OS-EXT-AZ:availability_zone']
        )

    def test_host_in_zone(self):
        for zone in ('nova:b', 'nova:b:b', ':b'):
            uuid = self.boot(self.admin, availability_zone=zone)
            shown = self.show(uuid, self.admin)
            self.assertEqual('b', shown['OS-EXT-SRV-ATTR:host'])

    def test_host_by_name(self):
        admin = self.admin.at_version('2.74')
        for name in ('host', 'hypervisor_hostname'):
            uuid = self.boot(admin, networks='none', **{name: 'b'})
            shown = self.show(uuid, self.admin)
            self.assertEqual('b', shown['OS-EXT-SRV-ATTR:host'])

    def test_no_valid_host(self):
        self.make_flavor('huge', vcpus=60000)
        uuid = self.boot(flavorRef='huge')
        shown = self.show(uuid)
        self.assertEqual('ERROR', shown['status'])
        self.assertEqual(500, shown['fault']['code'])
        self.assertEqual(
            'No valid host was found. There are not enough hosts available.',
            shown['fault']['message'],
        )
        shown = self.show(uuid, self.admin)
        self.assertIn('vcpus are free', shown['fault']['message'])


class RowsTestCase(base.ApiTestCase):
    """Servers are created but not built."""

    hosts = ()

    def setUp(self):
        super().setUp()
        self.make_flavor()

    def create(self, client=None, hints=None, **values):
        body = {'server': self.server(**values)}
        if hints is not None:
            body['os:scheduler_hints'] = hints
        return (client or self.user).post('/servers', body)


class ReplyTest(RowsTestCase):
    """The reply, and the server."""

    def made(self, **values):
        """Return the row of a server that is created with these values."""
        return self.cloud.instance(self.boot(wait=False, **values))

    def test_reply(self):
        reply = self.create()
        self.assertEqual(202, reply.status)
        server = reply.body['server']
        self.assertEqual(
            {
                'id',
                'links',
                'OS-DCF:diskConfig',
                'security_groups',
                'adminPass',
            },
            set(server),
        )
        self.assertEqual([{'name': 'default'}], server['security_groups'])
        self.assertEqual(12, len(server['adminPass']))
        self.assertEqual(server['links'][0]['href'], reply.headers['Location'])
        self.assertEqual('BUILD', self.show(server['id'])['status'])

    def test_password_that_is_given(self):
        reply = self.create(adminPass='secret')
        self.assertEqual('secret', reply.body['server']['adminPass'])

    def test_image_properties_are_stored(self):
        self.image_store.add(id='k')
        image = self.image_store.add(
            min_ram=64,
            properties={
                'hw_disk_bus': 'virtio',
                'os_type': 'linux',
                'architecture': 'x86_64',
                'kernel_id': 'k',
            },
        )
        row = self.made(imageRef=image.id)
        self.assertEqual('virtio', row.image_meta['hw_disk_bus'])
        self.assertEqual('64', row.image_meta['min_ram'])
        self.assertEqual(image.id, row.image_meta['base_image_ref'])
        self.assertEqual(image.id, row.image_ref)
        self.assertEqual('linux', row.os_type)
        self.assertEqual('x86_64', row.architecture)
        self.assertEqual('k', row.kernel_id)
        self.assertEqual('', row.ramdisk_id)

    def test_fields(self):
        user_data = base64.b64encode(b'#!/bin/sh').decode()
        row = self.made(
            metadata={'a': 'b'},
            user_data=user_data,
            config_drive='True',
            accessIPv4='192.0.2.1',
            **{'OS-DCF:diskConfig': 'AUTO'},
        )
        self.assertEqual({'a': 'b'}, row.metadata)
        self.assertEqual(user_data, row.user_data)
        self.assertIs(True, row.config_drive)
        self.assertIs(True, row.auto_disk_config)
        self.assertEqual('192.0.2.1', row.access_ip_v4)
        self.assertEqual('/dev/vda', row.root_device_name)
        self.assertEqual('22222222bbbbbbbb', row.project_id)
        self.assertEqual('user', row.user_id)
        self.assertRegex(row.reservation_id, '^r-[0-9a-f]{8}$')

    def test_image_requires_config_drive(self):
        for value, expected in (
            ('mandatory', True),
            ('MANDATORY', True),
            ('optional', False),
            ('', False),
        ):
            image = self.image_store.add(
                properties={'img_config_drive': value}
            )
            row = self.made(imageRef=image.id)
            self.assertIs(expected, row.config_drive, value)

    def test_description_and_tags(self):
        user = self.user.at_version('2.52')
        user.post(
            '/servers',
            {
                'server': self.server(
                    networks='auto',
                    description='mine',
                    tags=['b', 'a', 'b'],
                    max_count=2,
                )
            },
        )
        shown = user.get('/servers/detail').body['servers']
        self.assertEqual(['mine'] * 2, [s['description'] for s in shown])
        self.assertEqual([['a', 'b']] * 2, [s['tags'] for s in shown])

    def test_host_names(self):
        for name, expected in (
            ('web', 'web'),
            ('Web Server_1.example', 'web-server-1-example'),
            ('a' * 80, 'a' * 63),
            ('Größe!', 'gre'),
            ('---', 'server'),
            ('漢字', 'server'),
        ):
            self.assertEqual(
                expected, server_create.sanitize_hostname(name), name
            )

    def test_several_at_once(self):
        reply = self.create(min_count=2, max_count='3')
        self.assertEqual(202, reply.status, reply.body)
        servers = self.user.get('/servers').body['servers']
        names = [server['name'] for server in servers]
        self.assertEqual(['web-1', 'web-2', 'web-3'], sorted(names))
        rows = [self.cloud.instance(server['id']) for server in servers]
        self.assertEqual(1, len({row.reservation_id for row in rows}))
        self.assertEqual([0, 1, 2], sorted(row.launch_index for row in rows))
        self.assertEqual(
            {'web-1', 'web-2', 'web-3'}, {r.hostname for r in rows}
        )

    def test_reservation_in_place_of_the_server(self):
        reply = self.create(min_count=2, return_reservation_id=True)
        self.assertEqual(['reservation_id'], list(reply.body))
        rows = self.user.get(
            f'/servers?reservation_id={reply.body["reservation_id"]}'
        ).body['servers']
        self.assertEqual(2, len(rows))

    def test_invalid_networks(self):
        for version, networks in (
            ('2.1', []),
            ('2.36', []),
            ('2.37', []),
            ('2.37', 'auto'),
            ('2.37', 'none'),
            (LATEST, 'auto'),
        ):
            reply = self.create(
                self.user.at_version(version), networks=networks
            )
            self.assertEqual(202, reply.status, reply.body)
        self.assertEqual(202, self.create(self.user.at_version('2.36')).status)

    def test_root_disk_from_the_image(self):
        disk = {
            'boot_index': 0,
            'source_type': 'image',
            'destination_type': 'local',
            'uuid': self.image,
            'delete_on_termination': True,
        }
        for reference in (self.image, ''):
            reply = self.create(
                imageRef=reference, block_device_mapping_v2=[disk]
            )
            self.assertEqual(202, reply.status, reply.body)

    def test_references_may_be_urls(self):
        self.make_flavor('a flavor')
        for flavor, image in (
            ('http://cloud/v2.1/flavors/small', f'/images/{self.image}'),
            ('http://cloud/flavors/a%20flavor/', self.image),
            ('small', f'https://cloud:9292/v2/images/{self.image}/'),
        ):
            reply = self.create(flavorRef=flavor, imageRef=image)
            self.assertEqual(202, reply.status, reply.body)
            shown = self.show(reply.body['server']['id'])
            self.assertEqual(self.image, shown['image']['id'])
            self.assertIn(shown['flavor']['id'], flavor.replace('%20', ' '))

    def test_hints_are_accepted(self):
        for hints in (
            {},
            {'same_host': ['x'], 'query': '["=", "$host", 1]'},
            {'_nova_check_type': ['rebuild']},
        ):
            self.assertEqual(202, self.create(hints=hints).status)


class RefusalTest(RowsTestCase):
    """Refusals leave nothing."""

    def assert_not_made(self, status, text, reply):
        self.assert_refused(status, text, reply)
        for table in (tables.instances, tables.operations, tables.steps):
            count = self.cloud.read(
                lambda c, t=table: len(c.execute(t.select()).all())
            )
            self.assertEqual(0, count)
        self.assertEqual([], self.cloud.consumer.received)

    def test_image(self):
        for changes, text in (
            ({'imageRef': base.LATEST}, 'server.imageRef: must be the UUID'),
            ({'imageRef': ''}, 'Missing imageRef attribute'),
            (
                {'imageRef': '9f4b2c1e-0000-4000-8000-000000000000'},
                'Can not find requested image 9f4b2c1e-0000-4000-8000-0000000',
            ),
        ):
            self.assert_not_made(400, text, self.create(**changes))

    def test_image_of_another_project(self):
        image = self.image_store.add(visibility='private', owner='other')
        reply = self.create(imageRef=image.id)
        self.assert_not_made(400, 'Can not find requested image', reply)

    def test_image_that_is_not_active(self):
        image = self.image_store.add(status='queued')
        reply = self.create(imageRef=image.id)
        self.assert_not_made(400, f'Image {image.id} is not active.', reply)

    def test_flavor_too_small(self):
        for values, text in (
            (
                {'min_ram': 513},
                'The image needs 513 MiB, flavor small has 512',
            ),
            ({'min_disk': 2}, 'The image needs 2 GiB'),
            ({'size': 2**31}, 'The image is 2147483648 bytes'),
            ({'virtual_size': 2**31}, 'The image is 2147483648 bytes'),
        ):
            image = self.image_store.add(**values)
            self.assert_not_made(400, text, self.create(imageRef=image.id))

    def test_flavor_without_a_disk_is_for_administrators(self):
        self.make_flavor('zero', disk=0)
        image = self.image_store.add(virtual_size=8 * 2**40)
        reply = self.create(imageRef=image.id, flavorRef='zero')
        self.assert_not_made(
            403,
            'Only volume-backed servers are allowed for flavors with zero '
            'disk.',
            reply,
        )
        reply = self.create(self.admin, imageRef=image.id, flavorRef='zero')
        self.assertEqual(202, reply.status, reply.body)

    def test_flavor_without_a_disk_by_policy(self):
        self.make_flavor('zero', disk=0)
        path = os.path.join(self.directory, 'policy.yaml')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(
                '"os_compute_api:servers:create:zero_disk_flavor": '
                '"rule:project_member_or_admin"'
            )
        self.config('oslo_policy', policy_file=path)
        self.restart_api()
        for values, status in (
            ({'virtual_size': 2**30}, 202),
            ({'disk_format': 'raw'}, 202),
            # The file of such an image says nothing about its disk.
            ({'virtual_size': None}, 400),
        ):
            image = self.image_store.add(**values)
            reply = self.create(imageRef=image.id, flavorRef='zero')
            self.assertEqual(status, reply.status, reply.body)
        self.assertIn('has no virtual size', reply.message)

    def test_flavor(self):
        self.make_flavor('hidden', **{'os-flavor-access:is_public': False})
        for flavor in ('none', 'hidden', 7):
            reply = self.create(flavorRef=flavor)
            text = f'Flavor {flavor} could not be found.'
            self.assert_not_made(400, text, reply)
        self.assertEqual(
            202, self.create(self.admin, flavorRef='hidden').status
        )

    def test_references_with_a_wrong_last_element(self):
        url = 'http://cloud/v2.1/flavors'
        for changes, text in (
            ({'flavorRef': f'{url}/none'}, 'Flavor none could not be found.'),
            ({'flavorRef': f'{url}/none/?x=small'}, 'Flavor none could not'),
            ({'imageRef': 'http://cloud/images/x'}, 'the UUID of an image'),
            ({'imageRef': f'images-{self.image}'}, 'the UUID of an image'),
            ({'flavorRef': 'x' * 2049}, 'server.flavorRef'),
        ):
            self.assert_not_made(400, text, self.create(**changes))

    def test_disabled_flavor(self):
        self.cloud.database.write(
            lambda c: c.execute(tables.flavors.update().values(disabled=True))
        )
        self.assert_not_made(400, 'could not be found', self.create())

    def test_unsupported_fields(self):
        uuid = self.image
        disk = {'boot_index': 0, 'uuid': uuid}
        for changes, text in (
            ({'personality': [{}]}, 'does not inject files'),
            ({'security_groups': [{'name': 'web'}]}, '"default" only'),
            ({'block_device_mapping': [{}]}, 'does not support volumes'),
            (
                {
                    'block_device_mapping_v2': [
                        disk
                        | {
                            'source_type': 'volume',
                            'destination_type': 'volume',
                        }
                    ]
                },
                'a root disk from an image only',
            ),
            (
                {
                    'block_device_mapping_v2': [
                        {'source_type': 'blank', 'boot_index': -1}
                    ]
                },
                'a root disk from an image only',
            ),
            (
                {
                    'block_device_mapping_v2': [
                        {
                            'source_type': 'image',
                            'destination_type': 'local',
                            'boot_index': 0,
                            'uuid': self.image_store.add().id,
                        }
                    ]
                },
                'must be the same',
            ),
        ):
            self.assert_not_made(400, text, self.create(**changes))
        reply = self.create(hints={'group': uuid})
        self.assert_not_made(400, 'could not be found', reply)
        reply = self.create(
            self.user.at_version('2.63'),
            networks='none',
            trusted_image_certificates=[uuid],
        )
        self.assert_not_made(400, 'signatures', reply)

    def test_default_security_group_is_fine(self):
        reply = self.create(security_groups=[{'name': 'default'}])
        self.assertEqual(202, reply.status)

    def test_networks_are_required_from_2_37_on(self):
        reply = self.create(self.user.at_version('2.37'))
        self.assert_not_made(400, 'server: lacks networks', reply)
        for networks in ('some', {}, None, 7):
            reply = self.create(
                self.user.at_version('2.37'), networks=networks
            )
            text = 'server.networks: must be "auto", "none" or a list'
            self.assert_not_made(400, text, reply)
        reply = self.create(self.user.at_version('2.36'), networks='auto')
        self.assert_not_made(400, 'server.networks', reply)

    def test_fields_before_and_after_their_versions(self):
        for version, changes in (
            ('2.18', {'description': 'x'}),
            ('2.51', {'tags': ['x'], 'networks': 'none'}),
            ('2.57', {'personality': [], 'networks': 'none'}),
            ('2.62', {'trusted_image_certificates': [], 'networks': 'none'}),
            ('2.73', {'host': 'a', 'networks': 'none'}),
        ):
            name = next(iter(changes))
            reply = self.create(self.user.at_version(version), **changes)
            self.assert_not_made(400, f'no field {name!r}', reply)

    def test_counts(self):
        for changes, text in (
            ({'min_count': 3, 'max_count': 2}, 'min_count must be <='),
            ({'min_count': 0}, 'server.min_count: must be a whole number'),
            ({'max_count': '0'}, 'server.max_count: must be a whole number'),
            ({'max_count': -1}, 'server.max_count'),
            ({'max_count': 1.5}, 'server.max_count'),
            ({'max_count': 1001}, 'at most 1000 servers'),
            ({'max_count': '9999999999'}, 'server.max_count'),
        ):
            self.assert_not_made(400, text, self.create(**changes))

    def test_values(self):
        long = 'a' * 65536
        for changes, text in (
            ({'name': ''}, 'server.name'),
            ({'name': 7}, 'server.name'),
            ({'metadata': {'': 'x'}}, 'is not a valid name'),
            ({'metadata': {'a' * 256: 'x'}}, 'is not a valid name'),
            ({'metadata': {'a': 'x' * 256}}, 'server.metadata.a'),
            ({'metadata': {'a': 1}}, 'must be of type string'),
            ({'user_data': long}, 'server.user_data: must be at most 65535'),
            ({'user_data': 'ä'}, 'server.user_data'),
            ({'user_data': 'abc'}, 'must be complete base64'),
            ({'config_drive': 'maybe'}, 'must be true or false'),
            ({'availability_zone': 'x'}, 'availability zone is not available'),
            ({'availability_zone': 'a:b:c:d'}, 'must be ZONE, ZONE:HOST'),
            ({'OS-DCF:diskConfig': 'auto'}, 'must be one of AUTO, MANUAL'),
        ):
            client = self.admin if 'zone' in text.lower() else self.user
            reply = self.create(client, **changes)
            self.assert_not_made(400, text, reply)

    def test_tags(self):
        user = self.user.at_version('2.52')
        for tags, text in (
            (['a,b'], 'without "," and "/"'),
            ([''], 'server.tags.0'),
            (['a' * 61], 'server.tags.0'),
            ([str(n) for n in range(51)], 'more than 50 entries'),
            ('a', 'must be of type array'),
        ):
            reply = self.create(user, networks='none', tags=tags)
            self.assert_not_made(400, text, reply)

    def test_metadata_quota(self):
        self.config('quota', metadata_items=1)
        reply = self.create(metadata={'a': 'x', 'b': 'y'})
        text = 'Maximum number of metadata items exceeds 1'
        self.assert_not_made(403, text, reply)
        self.assertEqual(['forbidden'], list(reply.body))

    def test_host_is_for_administrators(self):
        reply = self.create(availability_zone='nova:a')
        self.assert_not_made(403, 'create:forced_host', reply)
        reply = self.create(
            self.user.at_version('2.74'), networks='none', host='a'
        )
        self.assert_not_made(403, 'requested_destination', reply)

    def test_unknown_host(self):
        for changes in (
            {'host': 'x'},
            {'hypervisor_hostname': 'x'},
            {'availability_zone': ':x'},
        ):
            reply = self.create(
                self.admin.at_version('2.74'), networks='none', **changes
            )
            text = 'Compute host x could not be found.'
            self.assert_not_made(400, text, reply)
        reply = self.create(
            self.admin.at_version('2.74'),
            networks='none',
            host='x',
            availability_zone=':x',
        )
        self.assert_not_made(400, 'name the host once', reply)


class QuotaTest(base.ApiTestCase):
    """The quota of a project is exact."""

    hosts = ()

    def setUp(self):
        super().setUp()
        self.make_flavor()

    def create(self, client=None, **values):
        body = {'server': self.server(**values)}
        return (client or self.user).post('/servers', body)

    def test_each_of_them(self):
        for name, limit, text in (
            (
                'instances',
                1,
                'instances: Requested 1, but already used 1 of 1',
            ),
            ('cores', 1, 'cores: Requested 1, but already used 1 of 1'),
            ('ram', 1023, 'ram: Requested 512, but already used 512 of 1023'),
        ):
            client = base.Client(self.http, f'user:{name}0000')
            self.config('quota', instances=-1, cores=-1, ram=-1)
            self.config('quota', **{name: limit})
            self.assertEqual(202, self.create(client).status)
            reply = self.create(client)
            self.assert_refused(403, f'Quota exceeded for {text}', reply)
            self.assertEqual(1, len(self.ids(client)))

    def test_several_in_one_text(self):
        self.config('quota', instances=1, cores=1)
        reply = self.create(min_count=2)
        self.assert_refused(
            403,
            'Quota exceeded for instances, cores: Requested 2, 2, but already '
            'used 0, 0 of 1, 1 instances, cores',
            reply,
        )
        self.assertEqual([], self.ids(self.user))

    def test_as_many_as_fit(self):
        for name, limit, made in (
            ('instances', 12, 12),
            ('cores', 13, 13),
            ('ram', 512 * 3 + 511, 3),
            ('ram', -1, 30),
        ):
            client = base.Client(self.http, f'user:{name}{made}0000')
            self.config('quota', instances=-1, cores=-1, ram=-1)
            self.config('quota', **{name: limit})
            reply = self.create(client, min_count=2, max_count=30)
            self.assertEqual(202, reply.status, reply.body)
            self.assertEqual(made, len(self.ids(client)), name)

    def test_as_many_as_fit_when_one_fits(self):
        self.config('quota', instances=1)
        self.assertEqual(202, self.create(max_count=30).status)
        found = self.user.get('/servers').body['servers']
        self.assertEqual(['web'], [server['name'] for server in found])

    def test_minimum_does_not_fit(self):
        self.config('quota', instances=12)
        reply = self.create(min_count=13, max_count=30)
        self.assert_refused(
            403, 'Requested 13, but already used 0 of 12 instances', reply
        )
        self.assertEqual([], self.ids(self.user))

    def test_deletion_releases_quota(self):
        self.config('quota', instances=1)
        uuid = self.boot(wait=False)
        self.assertEqual(403, self.create().status)
        self.assertEqual(202, self.user.act(uuid, 'forceDelete').status)
        self.assertEqual(202, self.create().status)

    def test_other_projects_do_not_count(self):
        self.config('quota', instances=1)
        self.assertEqual(202, self.create().status)
        self.assertEqual(202, self.create(self.other).status)

    def test_zero_quota(self):
        self.config('quota', instances=0)
        reply = self.create()
        self.assert_refused(403, 'already used 0 of 0 instances', reply)


class ZeroDiskTest(base.ApiTestCase):
    """The claim of a server whose flavor has no root disk."""

    def setUp(self):
        super().setUp()
        self.make_flavor('zero', disk=0, **{'OS-FLV-EXT-DATA:ephemeral': 1})
        self.make_flavor('zero2', disk=0, **{'OS-FLV-EXT-DATA:ephemeral': 2})
        self.make_flavor('five', disk=5, **{'OS-FLV-EXT-DATA:ephemeral': 1})
        self.image = self.image_store.add(virtual_size=5 * 2**30 + 1).id
        self.uuid = self.boot(self.admin, flavorRef='zero')

    def used(self):
        reply = self.admin.get('/os-hypervisors/detail')
        hosts = reply.body['hypervisors']
        return sorted(host['local_gb_used'] for host in hosts)

    def test_the_image_is_claimed(self):
        self.assertEqual([0, 6 + 1], self.used())
        latest = self.show(self.uuid, self.admin.at_version(LATEST))
        self.assertEqual(0, latest['flavor']['disk'])
        self.admin.delete(f'/servers/{self.uuid}')
        self.cloud.settle(self.uuid)
        self.assertEqual([0, 0], self.used())

    def test_no_host_has_the_space(self):
        large = self.image_store.add(virtual_size=2**50).id
        uuid = self.boot(self.admin, flavorRef='zero', imageRef=large)
        shown = self.show(uuid, self.admin)
        self.assertEqual('ERROR', shown['status'])
        self.assertIn('No valid host', shown['fault']['message'])

    def test_resize(self):
        resize = {'flavorRef': 'five'}
        reply = self.admin.act(self.uuid, 'resize', resize)
        self.assert_refused(400, 'at least 6 GB of root disk', reply)
        reply = self.admin.act(self.uuid, 'resize', {'flavorRef': 'zero2'})
        self.assertEqual(202, reply.status, reply.body)
        self.cloud.settle(self.uuid)
        self.admin.act(self.uuid, 'confirmResize')
        self.cloud.settle(self.uuid)
        self.assertEqual([0, 6 + 2], self.used())

    def test_a_rescue_disk_is_bounded(self):
        large = self.image_store.add(virtual_size=7 * 2**30).id
        rescue = {'rescue_image_ref': large}
        reply = self.admin.act(self.uuid, 'rescue', rescue)
        self.assert_refused(
            400, 'the root disk of the server 6442450944 bytes', reply
        )
