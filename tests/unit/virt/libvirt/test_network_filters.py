# SPDX-License-Identifier: Apache-2.0
"""The filters of nics, and hosts that cannot filter."""

from xml.etree import ElementTree

from minova import exception
from minova.virt.libvirt import network_filters
from minova.virt.libvirt import xml
from minova.virt.libvirt.connection import Connection
from tests import base
from tests.unit.virt.rigs import spec
from tests.unit.virt.rigs import UUID


def nic(*addresses, **values):
    return {
        'mac': 'fa:16:3e:00:00:01',
        'label': 'private',
        'addresses': [
            {'address': one, 'version': 6 if ':' in one else 4}
            for one in addresses
        ],
    } | values


class DefinitionTest(base.TestCase):
    """The ``<filterref>`` of an interface."""

    def filter_of(self, given):
        text = xml.domain_xml(
            spec(nics=(given,)), (), xml.PROFILES['kvm'], '/log', '127.0.0.1'
        )
        found = ElementTree.fromstring(text).find('.//interface/filterref')
        if found is None:
            return None
        self.assertEqual(network_filters.FILTER, found.get('filter'))
        return [(one.get('name'), one.get('value')) for one in found]

    def test_addresses(self):
        self.assertEqual(
            [('IP', '10.0.0.5'), ('IPV6', '::')],
            self.filter_of(nic('10.0.0.5', bridge='br0')),
        )
        self.assertEqual(
            [('IP', '10.0.0.5'), ('IP', '10.0.0.6'), ('IPV6', 'fd00::5')],
            self.filter_of(
                nic('10.0.0.5', '10.0.0.6', 'fd00::5', libvirt_network='lan')
            ),
        )
        # libvirt would learn an address from the guest.
        self.assertEqual(
            [('IP', '0.0.0.0'), ('IPV6', 'fd00::5')],
            self.filter_of(nic('fd00::5', bridge='br0')),
        )

    def test_no_filter(self):
        unfiltered = nic('10.0.0.5', bridge='br0', port_security_enabled=False)
        self.assertIsNone(self.filter_of(unfiltered))
        user = nic('10.0.2.15', user=True, subnets=[{'cidr': '10.0.2.0/24'}])
        self.assertIsNone(self.filter_of(user))

    def test_no_label_that_ends_the_isolation_of_qemu(self):
        text = xml.domain_xml(
            spec(nics=(nic('10.0.0.5', bridge='br0'),)),
            (xml.Disk('/disk', 'qcow2', 'vda'),),
            xml.PROFILES['kvm'],
            '/log',
            '127.0.0.1',
        )
        # libvirt labels guests (sVirt, the account of QEMU) by default.
        self.assertNotIn('seclabel', text)


class HostTest(base.TestCase):
    """A libvirt without filters, such as its test driver."""

    def setUp(self):
        super().setUp()
        self.connection = Connection('test:///default')
        self.addCleanup(self.connection.close)
        self.filters = network_filters.NetworkFilters(self.connection)

    def test_guest_is_refused(self):
        error = self.assertRaises(
            exception.GuestFailed,
            self.filters.ensure,
            UUID,
            [nic(user=True), nic(bridge='br0')],
        )
        self.assertIn('network private needs filters', str(error))
        self.assertIn('it has no nwfilter driver; install', str(error))
        self.assertIn('libvirt-daemon-driver-nwfilter', str(error))

    def test_guest_without_filters_runs(self):
        self.filters.ensure(
            UUID,
            [nic(user=True), nic(bridge='br0', port_security_enabled=False)],
        )

    def test_start_of_the_service(self):
        self.connection.get()
        self.filters.restore()
        self.assertEqual('', self.log.output)
        # A libvirt of the system could have filters.
        self.connection.uri = 'qemu:///system'
        for _ in range(2):
            self.filters.restore()
        self.assertEqual(
            1, self.log.output.count('gets no servers on bridges')
        )
