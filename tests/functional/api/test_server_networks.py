# SPDX-License-Identifier: Apache-2.0
"""The networks of servers: allocation and release of ports."""

import ipaddress
import threading

from minova import exception
from minova.db.queries import ports
from minova.network import definition
from minova.network import embedded
from tests.functional.api import base
from tests.functional.api.base import LATEST

UNKNOWN = '7e34a2b6-8f1c-4f0e-9c5b-0d6a1e2f3c4d'


class NetworksTestCase(base.ApiTestCase):
    """Helpers to read ports and addresses."""

    def setUp(self):
        super().setUp()
        self.make_flavor()

    def held(self, uuid=None):
        """Return all ports, or those of a server."""
        found = self.cloud.read(ports.list_all)
        return [p for p in found if uuid in (None, p.instance_uuid)]

    def nics(self, uuid):
        """Return the nics of a server."""
        return self.cloud.instance(uuid).network_info

    def create(self, networks=None, client=None, **values):
        if networks is not None:
            values['networks'] = networks
        body = {'server': self.server(**values)}
        return (client or self.user.at_version(LATEST)).post('/servers', body)

    def made(self, *args, **values):
        """Create a server that is not built; return its id."""
        reply = self.create(*args, **values)
        self.assertEqual(202, reply.status, reply.body)
        return reply.body['server']['id']

    def refused(self, status, text, *args, **values):
        reply = self.create(*args, **values)
        self.assert_refused(status, text, reply)
        self.assertEqual([], self.ids(self.admin, '?all_tenants=1'))
        self.assertEqual([], self.held())


class PortLifecycleTest(NetworksTestCase):
    """A server has its addresses from its creation to its deletion."""

    def setUp(self):
        super().setUp()
        self.network = self.make_network(
            dns=['9.9.9.9'], mtu='1400', pool='10.0.0.10-10.0.0.20'
        )

    def test_address_keeps_its_mac(self):
        # A DHCP server would keep the address for this MAC for a while.
        one = {'uuid': self.network.id, 'fixed_ip': '10.0.0.12'}
        uuid = self.boot(networks=[one, {'uuid': self.network.id}])
        first, second = self.nics(uuid)
        self.assertNotEqual(first['mac'], second['mac'])
        self.user.delete(f'/servers/{uuid}')
        self.cloud.wait_for(lambda: not self.held())
        other = self.boot(networks=[one])
        (nic,) = self.nics(other)
        self.assertEqual(first['mac'], nic['mac'])
        self.assertNotEqual(first['id'], nic['id'])

    def test_requested_networks(self):
        uuid = self.boot()
        (port,) = self.held()
        self.assertRegex(port.mac, r'\Afa:16:3e(:[0-9a-f]{2}){3}\Z')
        address = ipaddress.ip_address(port.address)
        self.assertGreaterEqual(address, ipaddress.ip_address('10.0.0.10'))
        self.assertLessEqual(address, ipaddress.ip_address('10.0.0.20'))
        self.assertEqual(
            [
                {
                    'id': port.id,
                    'mac': port.mac,
                    'label': 'private',
                    'network_id': self.network.id,
                    'mtu': 1400,
                    'port_security_enabled': True,
                    'bridge': 'br0',
                    'addresses': [
                        {
                            'address': port.address,
                            'type': 'fixed',
                            'version': 4,
                            'meta': {},
                            'floating_ips': [],
                        }
                    ],
                    'subnets': [
                        {
                            'cidr': '10.0.0.0/24',
                            'gateway': '10.0.0.1',
                            'dns': ['9.9.9.9'],
                            'version': 4,
                        }
                    ],
                }
            ],
            self.nics(uuid),
        )
        (shown,) = self.show(uuid)['addresses']['private']
        self.assertEqual(port.address, shown['addr'])
        self.assertEqual(port.mac, shown['OS-EXT-IPS-MAC:mac_addr'])
        (emitted,) = [
            payload['fixed_ips']
            for event, _, payload, _ in self.cloud.consumer.of_instance(uuid)
            if event == 'compute.instance.create.end'
        ]
        self.assertEqual(
            [
                {
                    'address': port.address,
                    'type': 'fixed',
                    'version': 4,
                    'meta': {},
                    'floating_ips': [],
                    'label': 'private',
                    'vif_mac': port.mac,
                }
            ],
            emitted,
        )

    def test_no_port_security(self):
        other = self.make_network(
            'open', cidr='10.1.0.0/24', port_security=False
        )
        uuid = self.boot(networks=[{'uuid': other.id}])
        (nic,) = self.nics(uuid)
        self.assertIs(False, nic['port_security_enabled'])

    def test_ports_follow_a_migration(self):
        uuid = self.boot()
        before = self.nics(uuid), self.held()
        self.make_flavor('big', ram=1024)
        self.user.act(uuid, 'resize', {'flavorRef': 'big'})
        self.assertEqual('resized', self.cloud.settle(uuid).vm_state)
        self.user.act(uuid, 'confirmResize')
        self.assertEqual('active', self.cloud.settle(uuid).vm_state)
        host = self.cloud.instance(uuid).host
        self.admin.act(
            uuid,
            'os-migrateLive',
            {
                'host': None,
                'block_migration': True,
                'disk_over_commit': False,
            },
        )
        moved = self.cloud.settle(uuid)
        self.assertEqual('active', moved.vm_state)
        self.assertNotEqual(host, moved.host)
        self.assertEqual(before, (self.nics(uuid), self.held()))

    def test_delete_releases_ports(self):
        uuid = self.boot()
        self.user.delete(f'/servers/{uuid}')
        self.assertEqual('deleted', self.cloud.settle(uuid).vm_state)
        self.assertEqual([], self.held())
        self.assertEqual([], self.nics(uuid))

    def test_force_delete_releases_ports(self):
        uuid = self.boot()
        self.cloud.stop(self.cloud.computes[self.cloud.instance(uuid).host])
        self.admin.act(uuid, 'forceDelete')
        # Immediately, although the host has yet to remove the guest.
        self.assertEqual('deleted', self.cloud.instance(uuid).vm_state)
        self.assertEqual([], self.held())

    def test_delete_on_down_host_releases_ports(self):
        uuid = self.boot()
        host = self.cloud.instance(uuid).host
        self.cloud.stop(self.cloud.computes[host])
        (service,) = [
            one
            for one in self.admin.get('/os-services').body['services']
            if one['host'] == host
        ]
        self.admin.put(
            '/os-services/force-down',
            {'host': host, 'binary': service['binary'], 'forced_down': True},
            headers={'OpenStack-API-Version': 'compute 2.11'},
        )
        self.user.delete(f'/servers/{uuid}')
        self.assertEqual('deleted', self.cloud.instance(uuid).vm_state)
        self.assertEqual([], self.held())

    def test_error_keeps_ports_until_delete(self):
        self.make_flavor('huge', vcpus=60000)
        uuid = self.boot(flavorRef='huge')
        self.assertEqual('ERROR', self.show(uuid)['status'])
        self.assertEqual(1, len(self.held(uuid)))
        self.user.delete(f'/servers/{uuid}')
        self.cloud.settle(uuid)
        self.assertEqual([], self.held())


class ChoiceTest(NetworksTestCase):
    """The networks that a body selects."""

    hosts = ()

    def labels(self, uuid):
        return [nic['label'] for nic in self.nics(uuid)]

    def test_without_networks(self):
        for networks in ('auto', 'none', []):
            self.assertEqual([], self.nics(self.made(networks)))
        self.assertEqual([], self.nics(self.made(client=self.user)))

    def test_single_network_is_the_default(self):
        self.make_network()
        for networks in ('auto', []):
            self.assertEqual(['private'], self.labels(self.made(networks)))
        uuid = self.made(client=self.user)
        self.assertEqual(['private'], self.labels(uuid))
        self.assertEqual([], self.labels(self.made('none')))

    def test_several_networks_need_a_choice(self):
        self.make_network()
        other = self.make_network('other', cidr='10.0.1.0/24')
        for client, networks in ((None, 'auto'), (self.user, None)):
            self.refused(
                409,
                'Multiple possible networks found',
                networks=networks,
                client=client,
            )
        uuid = self.made([{'uuid': other.id}])
        self.assertEqual(['other'], self.labels(uuid))

    def test_usage_of_other_projects(self):
        project = base.OTHER.partition(':')[2]
        theirs = self.make_network('theirs', project=project)
        self.assertEqual([], self.nics(self.made('auto')))
        mine = self.made('auto', client=self.other.at_version(LATEST))
        self.assertEqual(['theirs'], self.labels(mine))
        reply = self.create([{'uuid': theirs.id}])
        self.assert_refused(400, f'{theirs.id} could not be found', reply)

    def test_several_in_the_order_they_are_named(self):
        one = self.make_network('one', cidr='10.0.1.0/24')
        two = self.make_network('two', cidr='10.0.2.0/24', bridge='br1')
        named = [{'uuid': n.id} for n in (two, one, two)]
        uuid = self.made(named)
        self.assertEqual(['two', 'one', 'two'], self.labels(uuid))
        self.assertEqual(
            ['br1', 'br0', 'br1'], [n['bridge'] for n in self.nics(uuid)]
        )
        self.assertEqual(3, len({p.address for p in self.held()}))
        shown = self.show(uuid)['addresses']
        self.assertEqual(
            {'one': 1, 'two': 2}, {k: len(shown[k]) for k in shown}
        )

    def test_tag_stays_with_its_nic(self):
        network = self.make_network()
        uuid = self.made([{'uuid': network.id, 'tag': 'front'}])
        (nic,) = self.nics(uuid)
        self.assertEqual('front', nic['tag'])
        self.assertNotIn('tag', nic['addresses'][0])

    def test_kinds(self):
        self.make_network('v', cidr='10.1.0.0/24', libvirt_network='default')
        self.make_network('u', cidr=None, user=True)
        v, u = (
            self.cloud.read(definition.find, name).id for name in ('v', 'u')
        )
        first, second = self.nics(self.made([{'uuid': v}, {'uuid': u}]))
        self.assertEqual('default', first['libvirt_network'])
        self.assertIs(True, second['user'])
        self.assertEqual('10.0.2.2', second['subnets'][0]['gateway'])
        for nic in (first, second):
            self.assertNotIn('bridge', nic)

    def test_ipv6(self):
        network = self.make_network(cidr='fd00:1::/64')
        uuid = self.made([{'uuid': network.id, 'fixed_ip': 'FD00:1::00aB'}])
        (shown,) = self.show(uuid)['addresses']['private']
        self.assertEqual('fd00:1::ab', shown['addr'])
        self.assertEqual(6, shown['version'])
        user = self.user.at_version('2.5')
        self.assertEqual([uuid], self.ids(user, '?ip6=fd00'))
        self.assertEqual([], self.ids(user, '?ip=fd00'))


class AddressTest(NetworksTestCase):
    """Requested addresses, valid and invalid."""

    hosts = ()

    def setUp(self):
        super().setUp()
        self.network = self.make_network(pool='10.0.0.10-10.0.0.12')

    def at(self, address, **values):
        return self.create(
            [{'uuid': self.network.id, 'fixed_ip': address}], **values
        )

    def test_named(self):
        reply = self.at('10.0.0.200')
        self.assertEqual(202, reply.status, reply.body)
        (port,) = self.held()
        self.assertEqual('10.0.0.200', port.address)

    def test_in_use(self):
        self.assertEqual(202, self.at('10.0.0.10').status)
        self.assert_refused(
            400,
            'Fixed IP address 10.0.0.10 is already in use',
            self.at('10.0.0.10'),
        )
        self.assertEqual(1, len(self.held()))

    def test_invalid_addresses(self):
        one = {'uuid': self.network.id}
        for named, text in (
            (one | {'fixed_ip': '10.0.1.5'}, 'it is not in 10.0.0.0/24'),
            (one | {'fixed_ip': 'fd00::1'}, 'it is not in 10.0.0.0/24'),
            (one | {'fixed_ip': '10.0.0.1'}, 'it is the gateway'),
            (one | {'fixed_ip': '10.0.0.0'}, 'it is 10.0.0.0/24 itself'),
            (one | {'fixed_ip': '10.0.0.255'}, 'it is 10.0.0.0/24 itself'),
            (one | {'fixed_ip': 'ten'}, 'fixed_ip: must be an IP address'),
            (one | {'fixed_ip': 'fe80::1%e'}, 'must be an IP address'),
            ({'uuid': UNKNOWN}, f'Network {UNKNOWN} could not be found'),
            ({'uuid': 'private'}, 'networks[0].uuid: must be a UUID'),
            ({}, 'networks[0].uuid: must contain the UUID of a network'),
            ({'port': UNKNOWN}, 'networks[0].port: Minova creates a port'),
            (one | {'tag': ''}, 'tag'),
        ):
            self.refused(400, text, [named])
        same = one | {'fixed_ip': '10.0.0.10'}
        self.refused(400, 'already in use', [same, same])
        self.refused(400, 'several servers', [same], min_count=2)
        self.refused(400, 'at most 16', [one] * 17)

    def test_all_or_none(self):
        # Three addresses for four servers: none is created.
        self.refused(
            400, 'No fixed IP addresses available', 'auto', min_count=4
        )
        self.made('auto', min_count=3)
        self.assertEqual(
            {'10.0.0.10', '10.0.0.11', '10.0.0.12'},
            {port.address for port in self.held()},
        )
        reply = self.create('auto')
        self.assert_refused(400, 'No fixed IP addresses available', reply)

    def test_mixed_addresses_in_one_request(self):
        named = {'uuid': self.network.id, 'fixed_ip': '10.0.0.11'}
        uuid = self.made(
            [
                {'uuid': self.network.id},
                named,
                named | {'fixed_ip': '10.0.0.10'},
            ]
        )
        self.assertEqual(
            ['10.0.0.12', '10.0.0.11', '10.0.0.10'],
            [nic['addresses'][0]['address'] for nic in self.nics(uuid)],
        )

    def test_rollback_allocates_nothing(self):
        self.config('quota', instances=1)
        self.made('auto')
        reply = self.create('auto')
        self.assertEqual(403, reply.status)
        self.assertEqual(1, len(self.held()))

    def test_filters(self):
        self.made('none')
        uuid = self.made([{'uuid': self.network.id, 'fixed_ip': '10.0.0.77'}])
        self.assertEqual([uuid], self.ids(self.user, '?ip=0.77'))
        self.assertEqual([], self.ids(self.user, '?ip=0.78'))
        self.assertEqual(
            [], self.ids(self.user.at_version('2.5'), '?ip6=0.77')
        )

    def test_used_mac_is_not_allocated(self):
        self.made('auto')
        (port,) = self.held()
        real = embedded._derive_mac
        self.patch(
            embedded,
            '_derive_mac',
            lambda *what: real(*what) if what[-1] > 1 else port.mac,
        )
        one = {'uuid': self.network.id}
        uuid = self.made([one, one])
        self.assertEqual(3, len({port.mac for port in self.held()}))
        self.assertEqual(
            [
                real(self.network, nic['addresses'][0]['address'], 2)
                for nic in self.nics(uuid)
            ],
            [nic['mac'] for nic in self.nics(uuid)],
        )


class PortQuotaTest(NetworksTestCase):
    """A project has a limited number of ports, in all and in a network."""

    hosts = ()

    def test_ports_of_a_project(self):
        network = self.make_network()
        both = [{'uuid': network.id}] * 2
        self.config('quota', ports=3)
        self.made(both)
        reply = self.create(both)
        self.assert_refused(
            403,
            'Maximum number of ports exceeded: Requested 2, but already used '
            '2 of 3 ports.',
            reply,
        )
        self.assertEqual(2, len(self.held()))
        self.made('auto')
        self.made('none')
        other = self.other.at_version(LATEST)
        self.assertEqual(202, self.create(both, client=other).status)

    def test_deletion_releases_ports(self):
        self.make_network()
        self.config('quota', ports=1)
        uuid = self.made('auto')
        self.assertEqual(403, self.create('auto').status)
        self.user.act(uuid, 'forceDelete')
        self.made('auto')

    def test_as_many_as_fit(self):
        self.make_network()
        self.config('quota', ports=5)
        self.refused(403, 'Requested 6', 'auto', min_count=6, max_count=9)
        self.made('auto', min_count=2, max_count=9)
        self.assertEqual(5, len(self.ids(self.user)))
        self.assertEqual(5, len(self.held()))

    def test_share_of_a_shared_network(self):
        self.make_network(pool='10.0.0.1-10.0.0.20')
        self.config('quota', shared_network_percent=50)
        # 19 without the gateway; the share is rounded up.
        self.made('auto', min_count=9, max_count=30)
        self.assertEqual(10, len(self.ids(self.user)))
        reply = self.create('auto')
        self.assert_refused(
            403,
            'Quota exceeded for addresses of network private: Requested 1, '
            'but already used 10 of the 10 that one project may have',
            reply,
        )
        other = self.other.at_version(LATEST)
        reply = self.create('auto', client=other, min_count=9)
        self.assertEqual(202, reply.status, reply.body)

    def test_no_project_takes_a_whole_network(self):
        self.make_network()
        for name in ('instances', 'cores', 'ram', 'shared_network_percent'):
            self.conf.conf.clear_override(name, 'quota')
        reply = self.create('auto', min_count=253)
        self.assert_refused(403, 'Quota exceeded for instances', reply)
        self.config('quota', instances=-1, cores=-1, ram=-1, ports=-1)
        self.made('auto', max_count=1000)
        self.assertEqual(127, len(self.held()))

    def test_network_of_a_project(self):
        self.make_network(
            pool='10.0.0.10-10.0.0.19', project='22222222bbbbbbbb'
        )
        self.config('quota', shared_network_percent=1)
        self.made('auto', min_count=10)

    def test_share_of_a_large_network(self):
        network = self.make_network(cidr='fd00::/64')
        self.config('quota', shared_network_percent=1)
        self.made([{'uuid': network.id}], min_count=3)

    def test_share_is_at_least_one_address(self):
        self.make_network(pool='10.0.0.10-10.0.0.12')
        self.config('quota', shared_network_percent=1)
        self.made('auto')
        self.assertEqual(403, self.create('auto').status)


class ConcurrencyTest(NetworksTestCase):
    """Concurrent requests."""

    hosts = ()

    def test_addresses_are_unique(self):
        self.make_network(pool='10.0.0.10-10.0.0.39')
        replies = []

        def create():
            replies.extend(self.create('auto').status for _ in range(5))

        threads = [threading.Thread(target=create) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([202] * 30 + [400] * 10, sorted(replies))
        held = self.held()
        self.assertEqual(30, len({port.address for port in held}))
        self.assertEqual(30, len({port.mac for port in held}))
        self.assertEqual(30, len({port.instance_uuid for port in held}))


class AddressViewTest(NetworksTestCase):
    """GET /os-networks."""

    hosts = ()

    def setUp(self):
        super().setUp()
        self.network = self.make_network(dns=['9.9.9.9', '1.1.1.1'])
        self.six = self.make_network('six', cidr='fd00::/64')
        project = base.OTHER.partition(':')[2]
        self.theirs = self.make_network(
            'theirs', cidr='10.1.0.0/24', project=project
        )

    def test_listed(self):
        for client, labels in (
            (self.user, {'private', 'six'}),
            (self.other, {'private', 'six', 'theirs'}),
        ):
            reply = client.get('/os-networks')
            self.assertEqual(200, reply.status)
            found = {one['label'] for one in reply.body['networks']}
            self.assertEqual(labels, found)

    def test_shown(self):
        path = f'/os-networks/{self.network.id}'
        shown = self.user.get(path).body['network']
        self.assertEqual(
            {
                'id': self.network.id,
                'label': 'private',
                'cidr': '10.0.0.0/24',
                'gateway': '10.0.0.1',
                'netmask': '255.255.255.0',
                'broadcast': '10.0.0.255',
                'dns1': '9.9.9.9',
                'dns2': '1.1.1.1',
            },
            {name: shown[name] for name in shown if shown[name] is not None},
        )
        self.assertIn('bridge', shown)
        shown = self.user.get(f'/os-networks/{self.six.id}').body['network']
        self.assertEqual('fd00::/64', shown['cidr_v6'])
        self.assertEqual('64', shown['netmask_v6'])
        self.assertIsNone(shown['cidr'])

    def test_missing_ones(self):
        for name in ('private', UNKNOWN, self.theirs.id):
            reply = self.user.get(f'/os-networks/{name}')
            self.assert_refused(404, f'{name} could not be found', reply)

    def test_until_2_35(self):
        for version, status in (('2.35', 200), ('2.36', 404), (LATEST, 404)):
            for path in ('', f'/{self.network.id}'):
                reply = self.user.at_version(version).get(
                    f'/os-networks{path}'
                )
                self.assertEqual(status, reply.status, (version, path))


class NetworkRemovalTest(NetworksTestCase):
    """Create and delete networks."""

    hosts = ()

    def test_used_network_is_not_deleted(self):
        network = self.make_network()
        uuid = self.made('auto')
        error = self.assertRaises(
            exception.Conflict,
            definition.delete,
            self.cloud.database,
            'private',
        )
        self.assertIn(f'in use by: web ({uuid})', str(error))
        self.cloud.database.write(
            lambda connection: ports.release(connection, uuid)
        )
        gone = definition.delete(self.cloud.database, network.id)
        self.assertEqual('private', gone.name)
        self.refused_late(network)

    def refused_late(self, network):
        reply = self.create([{'uuid': network.id}])
        self.assert_refused(400, 'could not be found', reply)
