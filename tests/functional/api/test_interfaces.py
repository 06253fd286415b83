# SPDX-License-Identifier: Apache-2.0
"""The endpoints of the network interfaces of a server."""

from minova.db.queries import ports
from minova.network import get_subnet_id
from tests.functional.api import base
from tests.functional.api.base import LATEST

UNKNOWN = '7e34a2b6-8f1c-4f0e-9c5b-0d6a1e2f3c4d'


class InterfacesTest(base.ApiTestCase):
    """List, show, attach and detach."""

    hosts = ('a', 'b')

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.network = self.make_network()
        self.uuid = self.boot()
        self.path = f'/servers/{self.uuid}/os-interface'

    def attach(self, version='2.1', client=None, **attachment):
        client = client or self.user
        return client.at_version(version).post(
            self.path, {'interfaceAttachment': attachment}
        )

    def attached(self, *args, **values):
        reply = self.attach(*args, **values)
        self.assertEqual(200, reply.status, reply.body)
        return reply.body['interfaceAttachment']

    def listed(self, version='2.1'):
        reply = self.user.at_version(version).get(self.path)
        return reply.body['interfaceAttachments']

    def held(self):
        return [p.address for p in self.cloud.read(ports.list_all)]

    def test_list_and_show(self):
        (first,) = self.listed()
        self.assertEqual(self.network.id, first['net_id'])
        self.assertEqual('ACTIVE', first['port_state'])
        self.assertEqual(
            [
                {
                    'subnet_id': get_subnet_id(self.network.id),
                    'ip_address': self.held()[0],
                }
            ],
            first['fixed_ips'],
        )
        reply = self.user.get(f'{self.path}/{first["port_id"]}')
        self.assertEqual({'interfaceAttachment': first}, reply.body)
        self.assertEqual([first | {'tag': None}], self.listed(version=LATEST))
        reply = self.user.get(f'{self.path}/{UNKNOWN}')
        self.assert_refused(404, 'could not be found on server', reply)

    def test_attach_and_detach(self):
        made = self.attached(net_id=self.network.id)
        self.assertEqual([made], self.listed()[1:])
        self.assertEqual(
            [made['mac_addr']],
            self.cloud.driver(self.cloud.instance(self.uuid).host).interfaces(
                self.uuid
            )[1:],
        )
        shown = self.show(self.uuid)['addresses']['private']
        self.assertEqual(made['fixed_ips'][0]['ip_address'], shown[1]['addr'])
        reply = self.user.delete(f'{self.path}/{made["port_id"]}')
        self.assertEqual((202, None), (reply.status, reply.body))
        self.cloud.settle(self.uuid)
        self.assertEqual(1, len(self.listed()))
        reply = self.user.delete(f'{self.path}/{made["port_id"]}')
        self.assert_refused(404, 'could not be found', reply)
        reply = self.user.get(f'/servers/{self.uuid}/os-instance-actions')
        self.assertEqual(
            ['detach_interface', 'attach_interface', 'create'],
            [one['action'] for one in reply.body['instanceActions']],
        )

    def test_actions_in_a_row(self):
        """The openstack client detaches all ports of a network at once."""
        self.attached()
        for nic in self.listed():
            reply = self.user.delete(f'{self.path}/{nic["port_id"]}')
            self.assertEqual(202, reply.status, reply.body)
        self.assertEqual([], self.listed())
        old = self.user.at_version('2.1')
        for _ in range(2):
            reply = old.act(
                self.uuid, 'addFixedIp', {'networkId': self.network.id}
            )
            self.assertEqual(202, reply.status, reply.body)
        for address in self.held():
            reply = old.act(self.uuid, 'removeFixedIp', {'address': address})
            self.assertEqual(202, reply.status, reply.body)
        self.assertEqual([], self.held())

    def test_address_and_tag(self):
        made = self.attached(
            '2.70',
            net_id=self.network.id,
            fixed_ips=[{'ip_address': '10.0.0.77'}],
            tag='backup',
        )
        self.assertEqual('10.0.0.77', made['fixed_ips'][0]['ip_address'])
        self.assertEqual('backup', made['tag'])
        self.assertNotIn('tag', self.attached('2.69', net_id=self.network.id))
        reply = self.attach('2.49', tag='backup')
        self.assert_refused(400, 'has the tag backup', reply)
        reply = self.attach('2.48', tag='other')
        self.assert_refused(400, 'since microversion 2.49', reply)
        reply = self.attach(
            net_id=self.network.id, fixed_ips=[{'ip_address': '10.0.0.77'}]
        )
        self.assert_refused(409, 'is already in use', reply)
        reply = self.attach(
            net_id=self.network.id, fixed_ips=[{'ip_address': '10.9.0.7'}]
        )
        self.assert_refused(400, 'it is not in 10.0.0.0/24', reply)

    def test_refusals(self):
        own = self.listed()[0]['port_id']
        for status, text, attachment in (
            (404, 'Network', {'net_id': UNKNOWN}),
            (404, 'Port', {'port_id': UNKNOWN}),
            (409, 'is still in use by server', {'port_id': own}),
            (400, 'not both', {'port_id': own, 'net_id': self.network.id}),
            (400, 'net_id', {'fixed_ips': [{'ip_address': '10.0.0.9'}]}),
            (400, 'a UUID', {'net_id': 'private'}),
            (400, 'an IP address', {'fixed_ips': [{'ip_address': 'x.y'}]}),
        ):
            self.assert_refused(status, text, self.attach(**attachment))
        other = self.make_network('other', cidr='10.1.0.0/24')
        self.assert_refused(400, 'Multiple possible networks', self.attach())
        self.attached(net_id=other.id)
        self.assertEqual(2, len(self.held()))

    def test_limit_of_ports(self):
        self.config(group='quota', ports=2)
        self.attached()
        reply = self.attach()
        self.assert_refused(403, 'Maximum number of ports exceeded', reply)
        self.assertEqual(2, len(self.held()))

    def test_wrong_state(self):
        self.user.act(self.uuid, 'suspend')
        self.cloud.settle(self.uuid)
        reply = self.attach()
        self.assert_refused(409, "Cannot 'attach_interface'", reply)
        port = self.listed()[0]['port_id']
        reply = self.user.delete(f'{self.path}/{port}')
        self.assert_refused(409, "Cannot 'detach_interface'", reply)

    def test_locked(self):
        self.user.act(self.uuid, 'lock')
        self.assert_refused(409, 'is locked', self.attach())
        self.attached(client=self.admin)

    def test_other_projects(self):
        reply = self.attach(client=self.other)
        self.assert_refused(404, 'could not be found', reply)

    def test_failure(self):
        for host in ('a', 'b'):
            self.cloud.world.inject_fault(
                host, 'attach_interface', 'no free port'
            )
        reply = self.attach()
        self.assertEqual(500, reply.status)
        self.assertIn('no free port', reply.message)
        self.assertEqual(1, len(self.held()))

    def test_fixed_ips(self):
        old = self.user.at_version('2.43')
        reply = old.act(self.uuid, 'addFixedIp', {'networkId': UNKNOWN})
        self.assert_refused(404, 'Network', reply)
        reply = old.act(
            self.uuid, 'addFixedIp', {'networkId': self.network.id}
        )
        self.assertEqual((202, None), (reply.status, reply.body))
        self.cloud.settle(self.uuid)
        address = self.listed()[1]['fixed_ips'][0]['ip_address']
        reply = old.act(self.uuid, 'removeFixedIp', {'address': '10.0.9.9'})
        self.assert_refused(400, 'has no fixed IP address', reply)
        reply = old.act(self.uuid, 'removeFixedIp', {'address': address})
        self.assertEqual(202, reply.status)
        self.cloud.settle(self.uuid)
        self.assertEqual(1, len(self.held()))
        newer = self.user.at_version('2.44')
        reply = newer.act(
            self.uuid, 'addFixedIp', {'networkId': self.network.id}
        )
        self.assert_refused(404, 'no action addFixedIp after', reply)
