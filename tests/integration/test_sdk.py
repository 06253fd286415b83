# SPDX-License-Identifier: Apache-2.0
"""An ordinary openstacksdk script on a fresh all-in-one.

The cloud layer of the SDK reads the generated clouds.yaml as it comes: no test
passes it an option for networks, addresses or floating IPs.
"""

import os

import fixtures
import openstack

from tests.integration.allinone import AllInOneTestCase
from tests.integration.allinone import IMAGE


class SdkTest(AllInOneTestCase):
    """Scripts with ``openstack.connect()``."""

    def log_in(self, *arguments):
        """Start the all-in-one and connect as a script does."""
        self.service = self.start(*arguments)
        files = os.path.join(self.data, 'clouds.yaml')
        for name in [name for name in os.environ if name.startswith('OS_')]:
            self.useFixture(fixtures.EnvironmentVariable(name))
        for name, value in (
            ('OS_CLIENT_CONFIG_FILE', files),
            ('OS_CLOUD', 'minova'),
        ):
            self.useFixture(fixtures.EnvironmentVariable(name, value))
        self.conn = openstack.connect()
        self.addCleanup(self.conn.close)

    def test_life_of_a_server(self):
        self.log_in()
        conn = self.conn
        conn.create_image(
            'tiny',
            data=IMAGE,
            disk_format='raw',
            container_format='bare',
            wait=True,
        )
        pair = conn.create_keypair('key')
        self.assertIn('PRIVATE KEY', pair.private_key)
        server = conn.create_server(
            'web', image='tiny', flavor='m1.tiny', key_name='key', wait=True
        )
        self.assertEqual('ACTIVE', server.status)
        (network,) = conn.list_networks()
        (subnet,) = conn.list_subnets()
        self._has_its_address(server, network, subnet)
        (listed,) = conn.list_servers()
        self.assertEqual(
            (server.id, server.private_v4), (listed.id, listed.private_v4)
        )
        (detailed,) = conn.list_servers(detailed=True)
        self.assertEqual('tiny', detailed['image']['name'])
        self._resize(server)
        # libvirt's test driver has no console log.
        self.assertEqual('', conn.get_server_console(server))
        self.assertTrue(conn.delete_server('web', wait=True))
        self.assertEqual([], conn.list_servers())
        self.assertEqual([], conn.list_ports())
        self.assertTrue(conn.delete_keypair('key'))
        self.assertNotIn('Traceback', self.service.log_text())

    def _has_its_address(self, server, network, subnet):
        self.assertEqual('private', network.name)
        self.assertEqual([subnet.id], network.subnet_ids)
        ((name, (address,)),) = server.addresses.items()
        self.assertEqual('private', name)
        for shown in (server.private_v4, server.interface_ip):
            self.assertEqual(address['addr'], shown)
        (port,) = self.conn.list_ports({'device_id': server.id})
        self.assertEqual(
            (
                network.id,
                address['OS-EXT-IPS-MAC:mac_addr'],
                [{'subnet_id': subnet.id, 'ip_address': address['addr']}],
            ),
            (port.network_id, port.mac_address, port.fixed_ips),
        )

    def _resize(self, server):
        conn = self.conn
        flavor = conn.get_flavor('m1.small')
        conn.compute.resize_server(server, flavor)
        conn.compute.wait_for_server(
            server, status='VERIFY_RESIZE', interval=0.1
        )
        conn.compute.confirm_server_resize(server)
        server = conn.compute.wait_for_server(server, interval=0.1)
        self.assertEqual(
            'm1.small', conn.get_server(server.id).flavor.original_name
        )

    def test_a_network_by_name(self):
        self.log_in('--hypervisor=fake')
        conn = self.conn
        conn.create_image('tiny', data=IMAGE, disk_format='raw', wait=True)
        create = {'image': 'tiny', 'flavor': 'm1.nano', 'wait': True}
        server = conn.create_server('a', network='private', **create)
        self.assertEqual(['private'], list(server.addresses))
        self.assertIn('boot', conn.get_server_console(server).lower())
        server = conn.create_server(
            'b', nics=[{'net-name': 'private'}], auto_ip=True, **create
        )
        self.assertEqual(['private'], list(server.addresses))
        self.assertIsNone(conn.get_network('nothing'))
        for name in ('a', 'b'):
            self.assertTrue(
                conn.delete_server(name, wait=True, delete_ips=True)
            )
