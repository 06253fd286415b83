# SPDX-License-Identifier: Apache-2.0
"""Console logs as libvirt writes them, VNC endpoints in definitions."""

import os
from unittest import mock

from minova import exception
from minova.virt.driver import GraphicsEndpoint
from minova.virt.libvirt import consoles
from tests.unit.virt.libvirt.test_guests import GuestsTestCase
from tests.unit.virt.rigs import UUID

DOMAIN = "<domain type='qemu'><devices>{}</devices></domain>"


class GraphicsEndpointTest(GuestsTestCase):
    """The VNC endpoint in the definition of a running guest."""

    def setUp(self):
        super().setUp()
        self.consoles = consoles.Consoles(self.connection, self.disks)

    def read(self, graphics):
        return consoles.parse_graphics_endpoint(DOMAIN.format(graphics), 'vnc')

    def test_an_address(self):
        self.assertEqual(
            GraphicsEndpoint('192.0.2.1', 5903),
            self.read(
                "<graphics type='spice' port='5900' listen='192.0.2.9'/>"
                "<graphics type='vnc' port='5903' autoport='yes' "
                "listen='192.0.2.1'>"
                "<listen type='address' address='192.0.2.1'/></graphics>"
            ),
        )

    def test_a_network_that_gave_an_address(self):
        self.assertEqual(
            GraphicsEndpoint('192.0.2.7', 5900),
            self.read(
                "<graphics type='vnc' port='5900'><listen type='network' "
                "address='192.0.2.7' network='default'/></graphics>"
            ),
        )

    def test_older_forms(self):
        self.assertEqual(
            GraphicsEndpoint('::', 5900),
            self.read("<graphics type='vnc' port='5900' listen='::'/>"),
        )
        self.assertEqual(
            GraphicsEndpoint('127.0.0.1', 5900),
            self.read("<graphics type='vnc' port='5900'/>"),
        )
        self.assertEqual(
            GraphicsEndpoint(None, None, '/run/vnc'),
            self.read("<graphics type='vnc' socket='/run/vnc'/>"),
        )

    def test_a_socket(self):
        self.assertEqual(
            GraphicsEndpoint(None, None, '/run/vnc'),
            self.read(
                "<graphics type='vnc' port='-1'><listen type='socket' "
                "socket='/run/vnc'/></graphics>"
            ),
        )

    def test_none(self):
        for graphics in (
            '',
            "<graphics type='spice' port='5900'/>",
            "<graphics type='vnc' port='-1' autoport='yes'/>",
            "<graphics type='vnc' port='0'/>",
            "<graphics type='vnc'><listen type='none'/></graphics>",
        ):
            self.assertIsNone(self.read(graphics), graphics)

    def test_of_a_guest(self):
        domain = self.running()
        text = DOMAIN.format("<graphics type='vnc' port='5907'/>")
        with mock.patch.object(type(domain), 'XMLDesc', lambda self: text):
            self.assertEqual(
                GraphicsEndpoint('127.0.0.1', 5907),
                self.consoles.graphics(UUID, 'novnc'),
            )

    def test_guest_defined_without_vnc(self):
        domain = self.running()
        text = DOMAIN.format('')
        with mock.patch.object(type(domain), 'XMLDesc', lambda self: text):
            error = self.assertRaises(
                exception.ConsoleTypeUnavailable,
                self.consoles.graphics,
                UUID,
                'novnc',
            )
        self.assertIn('without VNC', error.kwargs['reason'])

    def test_guest_defined_without_spice(self):
        domain = self.running()
        text = DOMAIN.format("<graphics type='vnc' port='5907'/>")
        for enabled, what in ((False, '[spice] enabled'), (True, 'hard')):
            self.config('spice', enabled=enabled)
            with mock.patch.object(type(domain), 'XMLDesc', lambda _: text):
                error = self.assertRaises(
                    exception.ConsoleTypeUnavailable,
                    self.consoles.graphics,
                    UUID,
                    'spice-html5',
                )
            self.assertIn(what, error.kwargs['reason'])

    def test_spice_with_tls(self):
        self.assertEqual(
            GraphicsEndpoint('127.0.0.1', 5930, tls_port=5931),
            consoles.parse_graphics_endpoint(
                DOMAIN.format(
                    "<graphics type='spice' port='5930' tlsPort='5931'/>"
                ),
                'spice',
            ),
        )

    def test_spice_with_tls_only(self):
        self.assertEqual(
            GraphicsEndpoint('127.0.0.1', None, tls_port=5931),
            consoles.parse_graphics_endpoint(
                DOMAIN.format(
                    "<graphics type='spice' port='-1' tlsPort='5931'/>"
                ),
                'spice',
            ),
        )

    def test_stopped_guest(self):
        self.running().destroy()
        self.assertRaises(
            exception.InstanceNotReady, self.consoles.graphics, UUID, 'novnc'
        )


class LogTest(GuestsTestCase):
    """The files."""

    def setUp(self):
        super().setUp()
        self.consoles = consoles.Consoles(self.connection, self.disks)
        self.path = self.disks.console_log(UUID)
        os.makedirs(os.path.dirname(self.path))

    def write(self, text, suffix=''):
        with open(self.path + suffix, 'wb') as file:
            file.write(text)

    def end(self, size):
        return self.consoles.console_output(UUID, size)

    def test_the_end_of_a_large_one(self):
        self.write(b'x' * 5000000 + b'the end')
        self.assertEqual(b'the end', self.end(7))

    def test_rotated_log(self):
        self.write(b'3')
        self.assertEqual(b'3', self.end(10))
        self.write(b'12', '.0')
        self.write(b'0', '.1')
        self.assertEqual(b'0123', self.end(10))
        self.assertEqual(b'123', self.end(3))
        self.assertEqual(b'23', self.end(2))
        # Just put aside, and nothing said since.
        self.write(b'')
        self.assertEqual(b'012', self.end(10))
        os.unlink(self.path)
        self.assertEqual(b'012', self.end(10))

    def test_truncated_log(self):
        self.write(b'much that was said')
        self.write(b'now')
        self.assertEqual(b'now', self.end(10))

    def test_none(self):
        self.assertEqual(b'', self.end(10))
        os.rmdir(os.path.dirname(self.path))
        self.assertEqual(b'', self.end(10))

    def test_unreadable_log(self):
        os.mkdir(self.path)
        error = self.assertRaises(exception.GuestFailed, self.end, 10)
        self.assertIn(self.path, str(error))
