# SPDX-License-Identifier: Apache-2.0
"""Nics and reservations on a real libvirt.

The hosts are session libvirtds, where no network can be active: the tests read
reservations from a definition, which the same code of libvirt checks.
"""

import tempfile

import libvirt

from minova import exception
from minova.rig import hosts
from minova.virt.libvirt import networks
from minova.virt.libvirt import xml
from minova.virt.libvirt.connection import Connection
from tests import base
from tests.fixtures.rig import KNOWN
from tests.unit.virt.rigs import OTHER
from tests.unit.virt.rigs import spec
from tests.unit.virt.rigs import UUID

NETWORK = """
<network>
  <name>private</name>
  <ip address='10.0.0.1' netmask='255.255.255.0'>
    <dhcp><range start='10.0.0.2' end='10.0.0.254'/></dhcp>
  </ip>
</network>
"""


def nic(number, address, **values):
    made = {
        'mac': f'fa:16:3e:00:00:{number:02x}',
        'label': 'private',
        'addresses': [{'address': address, 'version': 4}],
    }
    return made | values


class HostNetworksTest(base.TestCase):
    """One host of a rig."""

    def setUp(self):
        super().setUp()
        # A fixture's directory has a path that is too long for sockets.
        made = tempfile.TemporaryDirectory(prefix='rig')
        self.addCleanup(made.cleanup)
        self.addCleanup(hosts.down, made.name)
        (self.host,) = hosts.up(made.name, 1, KNOWN)
        self.connection = Connection(self.host.uri)
        self.addCleanup(self.connection.close)

    def test_reservations(self):
        opened = self.connection.get()
        network = opened.networkDefineXML(NETWORK)
        self.addCleanup(network.undefine)
        plugged = nic(1, '10.0.0.5', libvirt_network='private')
        error = self.assertRaises(
            exception.GuestFailed,
            networks.ensure_reservations,
            self.connection,
            UUID,
            [plugged],
        )
        self.assertIn('network private of the host', str(error))
        self.assertIn('is not active', str(error))

        (side,) = networks.network_configs(network)

        def reserve(uuid, plugged):
            for wanted in networks._required_reservations(
                network, uuid, plugged
            ):
                networks._reserve(side, uuid, wanted)

        reserve(OTHER, plugged)
        reserve(OTHER, nic(2, '10.0.0.6'))
        self.assertEqual(
            {OTHER}, networks.guests_with_reservations(self.connection)
        )
        for _ in range(2):
            reserve(UUID, nic(3, '10.0.0.5'))
        self.assertEqual(2, len(side.reservations()))
        self.assertEqual(
            {UUID, OTHER}, networks.guests_with_reservations(self.connection)
        )
        networks.remove_reservations(self.connection, OTHER)
        self.assertEqual(
            {UUID}, networks.guests_with_reservations(self.connection)
        )
        networks.remove_reservations(self.connection, UUID)
        self.assertEqual([], side.reservations())

    def test_a_guest_on_user_networks(self):
        opened = self.connection.get()
        nics = tuple(
            nic(number, address, user=True, subnets=[{'cidr': cidr}])
            for number, (cidr, address) in enumerate(
                (('10.0.2.0/24', '10.0.2.20'), ('10.9.0.0/16', '10.9.0.20'))
            )
        )
        networks.ensure_reservations(self.connection, UUID, nics)
        text = xml.domain_xml(
            # The socket path of the agent contains the name.
            spec(name='u', nics=nics),
            (),
            xml.PROFILES['qemu'],
            f'{self.host.directory}/console',
            '127.0.0.1',
        )
        domain = opened.defineXML(text)
        domain.create()
        self.addCleanup(domain.undefine)
        self.addCleanup(domain.destroy)
        self.assertEqual(libvirt.VIR_DOMAIN_RUNNING, domain.state()[0])
        running = domain.XMLDesc()
        self.assertEqual(2, running.count("<interface type='user'>"))
        self.assertIn("<ip address='10.9.0.0' family='ipv4'", running)
