# SPDX-License-Identifier: Apache-2.0
"""Endpoints that clients of the first microversions call."""

from tests.functional.api import base

UNKNOWN = '7e34a2b6-8f1c-4f0e-9c5b-0d6a1e2f3c4d'


class LegacyTest(base.ApiTestCase):
    """Each is answered in its versions, and unknown after them."""

    hosts = ('a', 'b')

    def setUp(self):
        super().setUp()
        self.make_flavor()

    def get(self, path, version='2.1', client=None, status=200):
        reply = (client or self.admin).at_version(version).get(path)
        self.assertEqual(status, reply.status, reply.body)
        return reply.body

    def test_versions(self):
        for path, until in (
            ('/os-hosts', 42),
            ('/os-tenant-networks', 35),
            ('/images', 35),
            ('/images/detail', 35),
            (f'/images/{self.image}', 35),
            (f'/images/{self.image}/metadata', 38),
            ('/os-floating-ips', 35),
            ('/os-floating-ip-pools', 35),
            ('/os-security-groups', 35),
        ):
            self.get(path, f'2.{until}')
            self.get(path, f'2.{until + 1}', status=404)

    def test_extensions(self):
        found = self.get('/extensions')['extensions']
        aliases = [one['alias'] for one in found]
        self.assertEqual(sorted(aliases), aliases)
        self.assertIn('os-attach-interfaces', aliases)
        one = self.get('/extensions/os-multinic')['extension']
        self.assertEqual(
            {'alias', 'name', 'description', 'links', 'namespace', 'updated'},
            set(one),
        )
        self.get('/extensions/os-none', status=404)

    def test_gone(self):
        for path in ('/os-cells', '/os-fping', '/os-agents?x=1'):
            body = self.get(path, status=410)
            self.assertIn('newer client', body['computeFault']['message'])
        uuid = self.boot(wait=False)
        self.get(f'/servers/{uuid}/os-virtual-interfaces', status=410)
        for action in ('injectNetworkInfo', 'resetNetwork'):
            self.assertEqual(410, self.admin.act(uuid, action).status)

    def test_hosts(self):
        self.assertEqual(
            [
                ('a', 'compute', 'nova'),
                ('b', 'compute', 'nova'),
                ('conductor0', 'conductor', 'internal'),
            ],
            sorted(
                (one['host_name'], one['service'], one['zone'])
                for one in self.get('/os-hosts')['hosts']
            ),
        )
        found = self.get('/os-hosts?zone=internal')['hosts']
        self.assertEqual(['conductor0'], [one['host_name'] for one in found])
        uuid = self.boot()
        host = self.cloud.instance(uuid).host
        rows = [
            one['resource'] for one in self.get(f'/os-hosts/{host}')['host']
        ]
        self.assertEqual(
            ['(total)', '(used_now)', '(used_max)', '22222222bbbbbbbb'],
            [row['project'] for row in rows],
        )
        self.assertEqual([512] * 3, [row['memory_mb'] for row in rows[1:]])
        self.get('/os-hosts/none', status=404)

    def test_host_is_disabled(self):
        for word, status in (('disable', 'disabled'), ('Enable', 'enabled')):
            reply = self.admin.put('/os-hosts/a', {'status': word})
            self.assertEqual({'host': 'a', 'status': status}, reply.body)
            names = [
                one['host_name'] for one in self.get('/os-hosts')['hosts']
            ]
            self.assertEqual(word != 'disable', 'a' in names)
        for body in ({}, {'status': 'off'}, {'other': 1}):
            reply = self.admin.put('/os-hosts/a', body)
            self.assertEqual(400, reply.status)
        reply = self.admin.put('/os-hosts/a', {'maintenance_mode': 'enable'})
        self.assert_refused(501, 'no maintenance mode', reply)
        for action in ('startup', 'shutdown', 'reboot'):
            self.get(f'/os-hosts/a/{action}', status=501)

    def test_tenant_networks(self):
        network = self.make_network()
        expected = {
            'id': network.id,
            'label': 'private',
            'cidr': '10.0.0.0/24',
        }
        self.assertEqual(
            {'networks': [expected]},
            self.get('/os-tenant-networks', client=self.user),
        )
        self.assertEqual(
            {'network': expected},
            self.get(f'/os-tenant-networks/{network.id}', client=self.user),
        )
        self.get(f'/os-tenant-networks/{UNKNOWN}', status=404)

    def test_nothing_of_this_kind(self):
        uuid = self.boot(wait=False)
        for path, name in (
            ('/os-floating-ips', 'floating_ips'),
            ('/os-floating-ip-pools', 'floating_ip_pools'),
            ('/os-security-groups', 'security_groups'),
        ):
            self.assertEqual({name: []}, self.get(path, client=self.user))
        self.get('/os-floating-ips/1', status=404)
        self.get('/os-security-groups/1', status=404)
        reply = self.user.post('/os-floating-ips', {'pool': 'public'})
        self.assert_refused(404, 'pool not found', reply)
        for action, content, text in (
            ('addFloatingIp', {'address': '192.0.2.1'}, 'Floating IP'),
            ('removeFloatingIp', {'address': '192.0.2.1'}, 'Floating IP'),
            ('addSecurityGroup', {'name': 'web'}, 'Security group web'),
            ('removeSecurityGroup', {'name': 'web'}, 'Security group web'),
        ):
            reply = self.user.act(uuid, action, content)
            self.assert_refused(404, text, reply)
