# SPDX-License-Identifier: Apache-2.0
"""The read-only Networking v2.0 beside the embedded identity service."""

import os

import falcon.testing

from minova.api import app
from minova.identity.embedded import Identity
from tests.functional.api import base

ROOT = '/network/v2.0'
PROJECTS = {
    token: token.partition(':')[2]
    for token in (base.ADMIN, base.USER, base.OTHER)
}


class NetworkServiceTest(base.ApiTestCase):
    """What a client of Neutron finds there."""

    def setUp(self):
        super().setUp()
        identity = Identity(os.path.join(self.directory, 'identity'))
        self.application = falcon.testing.TestClient(
            app.make_app(self.backend, identity)
        )
        self.make_flavor()
        self.network = self.make_network(
            dns=['9.9.9.9'], mtu='1400', pool='10.0.0.10-10.0.0.20'
        )
        self.theirs = self.make_network(
            'theirs', cidr='fd00::/64', project=PROJECTS[base.OTHER]
        )

    def get(self, path, token=base.USER, status=200):
        reply = self.application.simulate_get(
            path, headers={'X-Auth-Token': token} if token else {}
        )
        self.assertEqual(status, reply.status_code, reply.text)
        return reply.json

    def names(self, query='', token=base.USER, kind='networks'):
        (rows,) = self.get(f'{ROOT}/{kind}{query}', token).values()
        return [row['name'] for row in rows]

    def test_versions(self):
        (version,) = self.get('/network', token=None)['versions']
        self.assertEqual('v2.0', version['id'])
        self.assertTrue(version['links'][0]['href'].endswith(f'{ROOT}/'))
        self.get(ROOT, token=None, status=401)
        shown = self.get(ROOT)['resources']
        self.assertIn('networks', [one['collection'] for one in shown])

    def test_a_network_and_its_subnet(self):
        (shown,) = self.get(f'{ROOT}/networks')['networks']
        self.assertEqual(
            {
                'id': self.network.id,
                'name': 'private',
                'project_id': '',
                'shared': True,
                'status': 'ACTIVE',
                'mtu': 1400,
                'router:external': False,
            },
            {
                name: shown[name]
                for name in [
                    'id',
                    'name',
                    'project_id',
                    'shared',
                    'status',
                    'mtu',
                    'router:external',
                ]
            },
        )
        path = f'{ROOT}/networks/{self.network.id}'
        self.assertEqual({'network': shown}, self.get(path))
        (subnet_id,) = shown['subnets']
        subnet = self.get(f'{ROOT}/subnets/{subnet_id}')['subnet']
        self.assertEqual(
            {
                'network_id': self.network.id,
                'cidr': '10.0.0.0/24',
                'ip_version': 4,
                'gateway_ip': '10.0.0.1',
                'dns_nameservers': ['9.9.9.9'],
                'allocation_pools': [
                    {'start': '10.0.0.10', 'end': '10.0.0.20'}
                ],
                # Minova assigns addresses, but no DHCP server does.
                'enable_dhcp': False,
            },
            {
                name: subnet[name]
                for name in [
                    'network_id',
                    'cidr',
                    'ip_version',
                    'gateway_ip',
                    'dns_nameservers',
                    'allocation_pools',
                    'enable_dhcp',
                ]
            },
        )

    def test_networks_of_projects(self):
        for token, expected in (
            (base.USER, ['private']),
            (base.OTHER, ['private', 'theirs']),
            (base.ADMIN, ['private', 'theirs']),
        ):
            for kind in ('networks', 'subnets'):
                self.assertEqual(expected, self.names('', token, kind))
        path = f'{ROOT}/networks/{self.theirs.id}'
        shown = self.get(path, base.OTHER)['network']
        self.assertEqual(
            (PROJECTS[base.OTHER], False),
            (shown['project_id'], shown['shared']),
        )
        error = self.get(path, status=404)['NeutronError']
        self.assertIn(self.theirs.id, error['message'])

    def test_filters_and_pages(self):
        for query, expected in (
            ('?name=private', ['private']),
            ('?name=private&name=theirs', ['private', 'theirs']),
            ('?name=none', []),
            ('?shared=False', ['theirs']),
            ('?shared=1', ['private']),
            ('?router:external=True', []),
            (f'?id={self.theirs.id}', ['theirs']),
            ('?limit=1', ['private']),
            (f'?limit=1&marker={self.network.id}', ['theirs']),
            (f'?marker={self.theirs.id}', []),
            ('?unknown=1', ['private', 'theirs']),
        ):
            found = self.names(query, base.ADMIN)
            self.assertEqual(expected, found, query)
        (row,) = self.get(f'{ROOT}/networks?fields=id&fields=name')['networks']
        self.assertEqual({'id': self.network.id, 'name': 'private'}, row)
        for query in ('?limit=x', '?limit=-1', '?marker=x'):
            body = self.get(f'{ROOT}/networks{query}', status=400)
            self.assertEqual('BadRequest', body['NeutronError']['type'])

    def test_ports_of_servers(self):
        uuid = self.boot(networks=[{'uuid': self.network.id}])
        (shown,) = self.get(f'{ROOT}/ports?device_id={uuid}')['ports']
        (nic,) = self.cloud.instance(uuid).network_info
        (address,) = nic['addresses']
        self.assertEqual(
            (nic['id'], nic['mac'], uuid, 'ACTIVE', PROJECTS[base.USER]),
            tuple(
                shown[name]
                for name in (
                    'id',
                    'mac_address',
                    'device_id',
                    'status',
                    'project_id',
                )
            ),
        )
        (fixed,) = shown['fixed_ips']
        self.assertEqual(address['address'], fixed['ip_address'])
        self.assertNotIn('binding:host_id', shown)
        path = f'{ROOT}/ports/{shown["id"]}'
        self.assertEqual({'port': shown}, self.get(path))
        self.assertEqual([], self.get(f'{ROOT}/ports', base.OTHER)['ports'])
        self.get(path, base.OTHER, status=404)
        seen = self.get(path, base.ADMIN)['port']
        self.assertEqual(
            self.cloud.instance(uuid).host, seen['binding:host_id']
        )
        for query, count in (
            (f'?fixed_ips=ip_address={address["address"]}', 1),
            ('?fixed_ips=ip_address=10.0.0.99', 0),
            (f'?network_id={self.network.id}', 1),
            (f'?network_id={self.theirs.id}', 0),
            ('?device_id=none', 0),
        ):
            found = self.get(f'{ROOT}/ports{query}')['ports']
            self.assertEqual(count, len(found), query)
        details = f'{ROOT}/quotas/{PROJECTS[base.USER]}/details'
        self.assertEqual(
            {'limit': 500, 'used': 1, 'reserved': 0},
            self.get(details)['quota']['port'],
        )
        self.user.delete(f'/servers/{uuid}')
        self.cloud.wait_for(lambda: not self.get(f'{ROOT}/ports')['ports'])

    def test_quotas(self):
        own = f'{ROOT}/quotas/{PROJECTS[base.USER]}'
        for path in (own, f'{own}/default'):
            self.assertEqual(500, self.get(path)['quota']['port'])
            self.assertEqual(-1, self.get(path)['quota']['router'])
            self.get(path, base.ADMIN)
            self.get(path, base.OTHER, status=403)

    def request_quota(self, method, token=base.ADMIN, body=None):
        return self.application.simulate_request(
            method,
            f'{ROOT}/quotas/{PROJECTS[base.USER]}',
            headers={'X-Auth-Token': token},
            json=body,
        )

    def test_change_of_the_quota_of_ports(self):
        own = f'{ROOT}/quotas/{PROJECTS[base.USER]}'
        body = {'quota': {'port': 1, 'network': -1}}
        reply = self.request_quota('PUT', body=body)
        self.assertEqual(200, reply.status_code, reply.text)
        self.assertEqual(1, reply.json['quota']['port'])
        self.assertEqual(1, self.get(own)['quota']['port'])
        self.assertEqual(500, self.get(f'{own}/default')['quota']['port'])
        wanted = [{'uuid': self.network.id}] * 2
        server = self.server(networks=[{'uuid': self.network.id}])
        self.assertEqual(
            202, self.user.post('/servers', {'server': server}).status
        )
        for check, status in ((True, 400), (False, 200)):
            body = {'quota': {'port': 0, 'check_limit': check}}
            reply = self.request_quota('PUT', body=body)
            self.assertEqual(status, reply.status_code, reply.text)
        server = self.server(networks=wanted)
        reply = self.user.post('/servers', {'server': server})
        self.assert_refused(403, 'Maximum number of ports exceeded', reply)
        # The Compute API has other resources.
        self.admin.delete(f'/os-quota-sets/{PROJECTS[base.USER]}')
        self.assertEqual(0, self.get(own)['quota']['port'])
        self.assertEqual(204, self.request_quota('DELETE').status_code)
        self.assertEqual(500, self.get(own)['quota']['port'])

    def test_refused_changes_of_quotas(self):
        for body, text in (
            ({'quota': {'port': -2}}, 'quota/port must not be less than -1'),
            ({'quota': {'port': '5'}}, 'quota/port must be of type integer'),
            ({'quota': {'network': 5}}, 'quota/network must be one of -1'),
            ({'quota': {'disk': 5}}, 'additionalProperties'),
            ({}, 'lacks quota'),
        ):
            reply = self.request_quota('PUT', body=body)
            self.assertEqual(400, reply.status_code, body)
            self.assertIn(text, reply.json['NeutronError']['message'])
        for method in ('PUT', 'DELETE'):
            body = {'quota': {'port': 5}}
            reply = self.request_quota(method, base.USER, body)
            self.assertEqual(403, reply.status_code)

    def test_what_there_is_none_of(self):
        for plural in [
            'routers',
            'floatingips',
            'security-groups',
            'security-group-rules',
        ]:
            body = self.get(f'{ROOT}/{plural}')
            self.assertEqual({plural.replace('-', '_'): []}, body)
            self.get(f'{ROOT}/{plural}/x', status=404)
        found = self.get(f'{ROOT}/extensions')['extensions']
        self.assertIn('net-mtu', [one['alias'] for one in found])
        shown = self.get(f'{ROOT}/extensions/quotas')['extension']
        self.assertEqual('quotas', shown['alias'])
        self.get(f'{ROOT}/extensions/qos', status=404)

    def test_no_changes(self):
        reply = self.application.simulate_post(
            f'{ROOT}/networks', headers={'X-Auth-Token': base.ADMIN}
        )
        self.assertEqual(405, reply.status_code)
        self.assertIn('NeutronError', reply.json)

    def test_security_groups_of_a_server(self):
        uuid = self.boot()
        path = f'/servers/{uuid}/os-security-groups'
        self.assertEqual({'security_groups': []}, self.user.get(path).body)
        self.assertEqual(404, self.other.get(path).status)
