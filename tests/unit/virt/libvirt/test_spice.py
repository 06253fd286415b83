# SPDX-License-Identifier: Apache-2.0
"""SPICE servers in the definitions of guests."""

from unittest import mock
from xml.etree import ElementTree

from minova.virt.libvirt import spice
from minova.virt.libvirt import xml
from tests import base
from tests.unit.virt.libvirt.test_xml import DISKS
from tests.unit.virt.rigs import spec

CAPABILITIES = """<domainCapabilities><devices>
<graphics supported='yes'><enum name='type'><value>vnc</value>{}</enum>
</graphics></devices></domainCapabilities>"""


def connection(kinds=''):
    made = mock.Mock()
    made.getDomainCapabilities.return_value = CAPABILITIES.format(kinds)
    return made


class OfferedTest(base.TestCase):
    """Whether a new guest gets a server."""

    def test_with_and_without_the_module(self):
        self.config('spice', enabled=True)
        for kinds in ('', '<value>spice</value>'):
            self.assertEqual(
                bool(kinds),
                spice.is_offered(connection(kinds), '/bin/qemu', 'kvm'),
            )

    def test_off(self):
        conn = connection('<value>spice</value>')
        self.assertFalse(spice.is_offered(conn, None, 'kvm'))
        # Guests of other hosts may still come with it.
        self.assertTrue(spice.is_supported(conn, None, 'kvm'))
        self.config('spice', enabled=True)
        self.assertFalse(spice.is_offered(conn, None, 'test'))


class DefinitionTest(base.TestCase):
    """The devices."""

    def devices(self, **kwargs):
        text = xml.domain_xml(
            spec(),
            DISKS,
            xml.PROFILES['kvm'],
            '/hosts/a/console',
            '192.0.2.1',
            **kwargs,
        )
        return ElementTree.fromstring(text).find('devices')

    def test_server_and_channel(self):
        devices = self.devices(has_spice=True)
        kinds = [one.get('type') for one in devices.iterfind('graphics')]
        self.assertEqual(['vnc', 'spice'], kinds)
        found = devices.find("graphics[@type='spice']/listen")
        self.assertEqual('192.0.2.1', found.get('address'))
        target = devices.find("channel[@type='spicevmc']/target")
        self.assertEqual('com.redhat.spice.0', target.get('name'))

    def test_no_agent(self):
        self.config('spice', agent_enabled=False)
        devices = self.devices(has_spice=True)
        self.assertIsNone(devices.find("channel[@type='spicevmc']"))

    def test_tls_and_compression(self):
        self.config(
            'spice',
            require_secure=True,
            image_compression='quic',
            jpeg_compression='never',
            zlib_compression='always',
            playback_compression=False,
            streaming_mode='filter',
        )
        found = self.devices(has_spice=True).find("graphics[@type='spice']")
        self.assertEqual('secure', found.get('defaultMode'))
        self.assertEqual(
            {
                'image': {'compression': 'quic'},
                'jpeg': {'compression': 'never'},
                'zlib': {'compression': 'always'},
                'playback': {'compression': 'off'},
                'streaming': {'mode': 'filter'},
            },
            {one.tag: one.attrib for one in found if one.tag != 'listen'},
        )

    def test_defaults_leave_it_to_qemu(self):
        found = self.devices(has_spice=True).find("graphics[@type='spice']")
        self.assertIsNone(found.get('defaultMode'))
        self.assertEqual(['listen'], [one.tag for one in found])

    def test_definitions_that_need_it(self):
        for part, expected in (
            ("<graphics type='vnc'/><channel type='unix'/>", False),
            ("<graphics type='vnc'/><graphics type='spice'/>", True),
            ("<channel type='spicevmc'/>", True),
        ):
            text = f'<domain><devices>{part}</devices></domain>'
            self.assertEqual(
                expected, spice.has_spice(ElementTree.fromstring(text)), part
            )

    def test_none(self):
        self.assertIsNone(self.devices().find("graphics[@type='spice']"))
