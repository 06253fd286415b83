# SPDX-License-Identifier: Apache-2.0
"""Console output and VNC addresses of a compute."""

import fixtures

from minova import exception
from minova import machine_id
from minova.compute import consoles
from minova.virt.driver import GraphicsEndpoint
from tests import base


class WayTest(base.TestCase):
    """The address of a VNC server, and the machines that can connect."""

    def way(self, *where):
        return consoles.get_connect_info(GraphicsEndpoint(*where))

    def test_an_address_is_reached_from_anywhere(self):
        for host in ('192.0.2.1', '2001:db8::1', 'kvm1.example.org'):
            self.assertEqual(
                {
                    'host': host,
                    'port': 5900,
                    'tls_port': None,
                    'socket': None,
                    'machine': None,
                    'access_path': None,
                    'fingerprint': None,
                },
                self.way(host, 5900),
            )

    def test_a_loopback_address_only_from_here(self):
        for host in ('127.0.0.1', '127.0.0.11', '::1', 'localhost'):
            way = self.way(host, 5900)
            self.assertEqual((host, 5900), (way['host'], way['port']))
            self.assertEqual(machine_id.network_namespace_id(), way['machine'])

    def test_all_addresses_are_known_by_one(self):
        self.config(my_ip='192.0.2.11')
        for host in ('0.0.0.0', '::'):
            way = self.way(host, 5900)
            self.assertEqual('192.0.2.11', way['host'])
            self.assertIsNone(way['machine'])
        self.config(my_ip='127.0.0.1')
        self.assertEqual(
            machine_id.network_namespace_id(),
            self.way('0.0.0.0', 5900)['machine'],
        )

    def test_a_socket_only_from_here(self):
        way = self.way(None, None, '/run/vnc')
        self.assertEqual('/run/vnc', way['socket'])
        self.assertEqual(machine_id.mount_namespace_id(), way['machine'])


class TlsTest(base.TestCase):
    """Servers that accept TLS only."""

    def test_proxy_needs_a_plain_port(self):
        secure = GraphicsEndpoint('192.0.2.1', None, tls_port=5901)
        error = self.assertRaises(
            exception.ConsoleTypeUnavailable,
            consoles.require_plain,
            secure,
            'spice-html5',
        )
        self.assertIn('spice-direct', error.kwargs['reason'])
        for plain in (
            GraphicsEndpoint('192.0.2.1', 5900, tls_port=5901),
            GraphicsEndpoint(None, None, '/run/spice'),
        ):
            consoles.require_plain(plain, 'spice-html5')

    def test_native_clients_get_both_ports(self):
        secure = GraphicsEndpoint('192.0.2.1', None, tls_port=5901)
        way = consoles.get_connect_info(secure)
        self.assertEqual((None, 5901), (way['port'], way['tls_port']))


class MachineTest(base.TestCase):
    """The ids of namespaces in which a local address is valid."""

    def test_names(self):
        self.assertEqual(
            machine_id.network_namespace_id(),
            machine_id.network_namespace_id(),
        )
        self.assertNotEqual(
            machine_id.network_namespace_id(), machine_id.mount_namespace_id()
        )

    def test_another_boot_is_another_machine(self):
        before = machine_id.network_namespace_id()
        random = '/proc/sys/kernel/random/uuid'
        self.useFixture(
            fixtures.MonkeyPatch('minova.machine_id._BOOT_ID_PATH', random)
        )
        self.assertNotEqual(before, machine_id.network_namespace_id())


class TextTest(base.TestCase):
    """Console output as text for clients."""

    def test_invalid_utf8(self):
        # As where a piece begins in the middle of a character.
        self.assertEqual(
            '\N{REPLACEMENT CHARACTER}x',
            consoles.decode_output(b'\xa9x', None),
        )

    def test_an_end_of_line_is_none_of_the_lines(self):
        self.assertEqual('b', consoles.decode_output(b'a\nb\n', 1))
        self.assertEqual('b', consoles.decode_output(b'a\nb', 1))
        self.assertEqual('b\n', consoles.decode_output(b'a\nb\n\n', 2))
        self.assertEqual('', consoles.decode_output(b'', 5))
