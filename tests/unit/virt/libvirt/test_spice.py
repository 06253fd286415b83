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

    def test_none(self):
        self.assertIsNone(self.devices().find("graphics[@type='spice']"))
