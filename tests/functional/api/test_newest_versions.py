# SPDX-License-Identifier: Apache-2.0
"""The microversions from 2.87 on: each change at exactly its version."""

from tests.functional.api import base

_HOSTNAME = 'OS-EXT-SRV-ATTR:hostname'
_PIN = 'pinned_availability_zone'
_KEY = (
    'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZgatj1ZD0qlUevOhb/EQhVuXp26TRpBB'
    'dOFRi4eXpv me@home'
)


class NewestVersionsTest(base.ApiTestCase):
    """Servers and key pairs; other resources have tests of their own."""

    hosts = ()

    def setUp(self):
        super().setUp()
        self.make_flavor()

    def create(self, version, **values):
        body = {'server': self.server(networks='none', **values)}
        return self.user.at_version(version).post('/servers', body)

    def created(self, version, **values):
        reply = self.create(version, **values)
        self.assertEqual(202, reply.status, reply.body)
        return reply.body['server']['id']

    def shown(self, uuid, version, client=None):
        client = (client or self.user).at_version(version)
        shown = self.show(uuid, client)
        query = '' if client.token == self.user.token else '?all_tenants=1'
        (listed,) = client.get(f'/servers/detail{query}').body['servers']
        self.assertEqual(
            listed, {name: shown[name] for name in listed}, version
        )
        return shown

    # -- 2.90 and 2.94: hostnames --------------------------------------------

    def test_hostname_of_a_new_server(self):
        self.assert_refused(
            400,
            "no field 'hostname' here",
            self.create('2.89', hostname='db-1'),
        )
        uuid = self.created('2.90', hostname='db-1')
        self.assertEqual('db-1', self.shown(uuid, '2.90')[_HOSTNAME])
        self.assertEqual('web', self.shown(uuid, '2.90')['name'])
        self.assertNotIn(_HOSTNAME, self.shown(uuid, '2.89'))
        for version in ('2.89', '2.90'):
            shown = self.shown(uuid, version, self.admin)
            self.assertEqual('db-1', shown[_HOSTNAME])

    def test_hostname_from_the_name(self):
        uuid = self.created('2.90', name='My server')
        self.assertEqual('my-server', self.shown(uuid, '2.90')[_HOSTNAME])

    def test_invalid_hostnames(self):
        for version, names in (
            ('2.90', ('-ab', 'ab-', 'a_b', 'a.b', 'a' * 64, '', None)),
            (
                '2.94',
                ('-ab', 'ab.', 'a_b', '.ab', 'a..b', 'a.' * 130, '', None),
            ),
        ):
            for name in names:
                reply = self.create(version, hostname=name)
                self.assert_refused(400, 'server.hostname', reply)

    def test_domain_from_2_94_on(self):
        uuid = self.created('2.94', hostname='db-1.example.com')
        shown = self.shown(uuid, '2.94')
        self.assertEqual('db-1.example.com', shown[_HOSTNAME])

    def test_several_servers_have_no_hostname(self):
        reply = self.create('2.90', hostname='db', min_count=2)
        self.assert_refused(400, 'cannot have the same hostname', reply)
        self.assertEqual([], self.ids(self.user))

    def test_hostname_changes(self):
        uuid = self.created('2.94')
        for version, name, status in (
            ('2.89', 'db-2', 400),
            ('2.90', 'db-2', 200),
            ('2.90', 'db-2.example.com', 400),
            ('2.94', 'db-2.example.com', 200),
        ):
            body = {'server': {'hostname': name}}
            reply = self.user.at_version(version).put(f'/servers/{uuid}', body)
            self.assertEqual(status, reply.status, reply.body)
            if status == 200:
                self.assertEqual(name, reply.body['server'][_HOSTNAME])
        self.assertEqual(
            'db-2.example.com', self.cloud.instance(uuid).hostname
        )

    # -- 2.92: key pairs -----------------------------------------------------

    def test_key_pairs_are_only_imported_from_2_92_on(self):
        before, after = (
            self.user.at_version(version) for version in ('2.91', '2.92')
        )
        for client, name, key, status in (
            (before, 'one', {}, 201),
            (before, 'me@home.org', {'public_key': _KEY}, 400),
            (after, 'two', {}, 400),
            (after, 'two', {'public_key': _KEY}, 201),
            (after, 'me@home.org', {'public_key': _KEY}, 201),
        ):
            body = {'keypair': {'name': name, **key}}
            reply = client.post('/os-keypairs', body)
            self.assertEqual(status, reply.status, reply.body)
        shown = after.get('/os-keypairs/me@home.org')
        self.assertEqual('me@home.org', shown.body['keypair']['name'])

    # -- 2.96: the requested zone --------------------------------------------

    def test_pinned_availability_zone(self):
        name = 'pinned_availability_zone'
        uuid = self.created('2.96')
        self.assertNotIn(name, self.shown(uuid, '2.95'))
        self.assertIsNone(self.shown(uuid, '2.96')[name])

    # -- 2.100: scheduler hints ----------------------------------------------

    def test_scheduler_hints(self):
        group = self.user.post(
            '/os-server-groups',
            {'server_group': {'name': 'g', 'policies': ['affinity']}},
        ).body['server_group']['id']
        body = {
            'server': self.server(networks='none'),
            'os:scheduler_hints': {'group': group, 'rack': 'r1'},
            'OS-SCH-HNT:scheduler_hints': {
                'different_host': ['a', 'b'],
                'query': ['=', '$host', 'c'],
                'mine': {'depth': 2},
                'empty': None,
            },
        }
        reply = self.user.at_version('2.99').post('/servers', body)
        self.assertEqual(202, reply.status, reply.body)
        uuid = reply.body['server']['id']
        self.assertNotIn('scheduler_hints', self.shown(uuid, '2.99'))
        self.assertEqual(
            {
                'group': [group],
                'rack': ['r1'],
                'different_host': ['a', 'b'],
                'query': ['["=","$host","c"]'],
                'mine': ['{"depth":2}'],
            },
            self.shown(uuid, '2.100')['scheduler_hints'],
        )
        reply = self.user.at_version('2.100').put(
            f'/servers/{uuid}', {'server': {'name': 'other'}}
        )
        self.assertEqual(
            self.shown(uuid, '2.100'),
            reply.body['server'],
        )

    def test_server_without_hints(self):
        uuid = self.created('2.100')
        self.assertEqual({}, self.shown(uuid, '2.100')['scheduler_hints'])

    def test_too_many_hints(self):
        body = {
            'server': self.server(networks='none'),
            'os:scheduler_hints': {'mine': ['x' * 255] * 64},
        }
        reply = self.user.at_version('2.100').post('/servers', body)
        self.assertEqual(202, self.create('2.100').status)
        self.assert_refused(400, 'at most 16384 are allowed', reply)

    # -- 2.102: parameters, flavors ------------------------------------------

    def test_unknown_parameters_of_every_get(self):
        """2.102 is the last version at which endpoints became strict."""
        uuid = self.created('2.100')
        for path in (
            f'/servers/{uuid}',
            f'/servers/{uuid}/tags',
            f'/servers/{uuid}/metadata',
            f'/servers/{uuid}/ips',
            f'/servers/{uuid}/os-interface',
            '/flavors/small',
            '/flavors/small/os-extra_specs',
            '/extensions',
            '/os-availability-zone',
        ):
            path += '?colour=blue'
            reply = self.user.at_version('2.101').get(path)
            self.assertEqual(200, reply.status, (path, reply.body))
            reply = self.user.at_version('2.102').get(path)
            self.assert_refused(400, "'colour'", reply)
        # Not a GET: parameters stay unread. Versions: no version is asked.
        body = {'server': {'name': 'other'}}
        reply = self.user.at_version('2.104').put(
            f'/servers/{uuid}?colour=blue', body
        )
        self.assertEqual(200, reply.status, reply.body)
        for path in ('/?colour=blue', '/v2.1?colour=blue'):
            reply = self.user.at_version('2.104').get(path)
            self.assertEqual(200, reply.status, reply.body)

    # -- 2.98: image properties ----------------------------------------------

    def test_image_properties(self):
        self.image = self.image_store.add(
            properties={'os_distro': 'debian'}
        ).id
        uuid = self.created('2.98')
        before = self.shown(uuid, '2.97')['image']
        self.assertEqual({'id', 'links'}, set(before))
        after = self.shown(uuid, '2.98')['image']
        properties = after.pop('properties')
        self.assertEqual(before, after)
        self.assertEqual(self.cloud.instance(uuid).image_meta, properties)
        self.assertEqual('debian', properties['os_distro'])
        self.assertEqual(self.image, properties['base_image_ref'])


class PinTest(base.ApiTestCase):
    """2.104: pin a server to its zone; both hosts are in the zone nova."""

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.uuid = self.boot()

    def pin(self, zone, version='2.104'):
        body = {'server': {_PIN: zone}}
        client = self.user.at_version(version)
        return client.put(f'/servers/{self.uuid}', body)

    def test_pin(self):
        before = self.cloud.instance(self.uuid)
        for zone, status, after in (
            ('rack', 409, None),
            ('nova', 200, 'nova'),
            ('nova', 200, 'nova'),
            ('rack', 409, 'nova'),
            (None, 200, None),
            (None, 200, None),
        ):
            reply = self.pin(zone)
            self.assertEqual(status, reply.status, reply.body)
            if status == 200:
                self.assertEqual(zone, reply.body['server'][_PIN])
            shown = self.show(self.uuid, self.user.at_version('2.104'))
            self.assertEqual(after, shown[_PIN])
            self.assertEqual('nova', shown['OS-EXT-AZ:availability_zone'])
        # A pin is no operation and no notified change.
        self.assertEqual(
            before.notification_seq,
            self.cloud.instance(self.uuid).notification_seq,
        )

    def test_refused(self):
        self.assert_refused(
            409,
            'it is pinned to no zone and is in nova. End its pin',
            self.pin('rack'),
        )
        self.assert_refused(400, f"no field '{_PIN}'", self.pin(None, '2.103'))
        for zone in ('', 'x' * 256, 1):
            self.assert_refused(400, _PIN, self.pin(zone))

    def test_pin_keeps_a_server_in_its_zone(self):
        self.pin('nova')
        (other,) = {'a', 'b'} - {self.cloud.instance(self.uuid).host}
        body = {'aggregate': {'name': 'r', 'availability_zone': 'rack'}}
        made = self.admin.post('/os-aggregates', body).body['aggregate']
        self.admin.post(
            f'/os-aggregates/{made["id"]}/action',
            {'add_host': {'host': other}},
        )
        client = self.user.at_version('2.104')
        (source,) = {'a', 'b'} - {other}
        for zone, status, host in (('nova', 400, source), (None, 202, other)):
            self.assertEqual(200, self.pin(zone).status)
            reply = self.admin.act(self.uuid, 'migrate')
            self.assertEqual(status, reply.status, reply.body)
            self.cloud.settle(self.uuid)
            self.assertEqual(host, self.cloud.instance(self.uuid).host)
            self.assertEqual(zone, self.show(self.uuid, client)[_PIN])
