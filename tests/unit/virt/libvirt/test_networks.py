# SPDX-License-Identifier: Apache-2.0
"""Host networks and bridges, and the DHCP reservations."""

import copy
import os
from unittest import mock
from xml.etree import ElementTree

import libvirt

from minova import exception
from minova.virt.libvirt import networks
from minova.virt.libvirt.connection import Connection
from tests import base
from tests.unit.virt.rigs import OTHER
from tests.unit.virt.rigs import UUID

NETWORK = """
<network>
  <name>{name}</name>
  <bridge name='virbr{number}'/>
  {ip}
</network>
"""
WITH_DHCP = """
<ip address='10.0.{number}.1' netmask='255.255.255.0'>
  <dhcp><range start='10.0.{number}.2' end='10.0.{number}.254'/></dhcp>
</ip>
<ip family='ipv6' address='fd00::1' prefix='64'/>
"""
STATIC = "<ip address='10.0.{number}.1' prefix='24'/>"


def written(name, number, ip):
    return NETWORK.format(
        name=name, number=number, ip=ip.format(number=number)
    )


def nic(last=5, mac=1, network='default', address=None, **values):
    """Return a nic as an instance has it."""
    made = {
        'mac': f'fa:16:3e:00:00:{mac:02x}',
        'label': 'private',
        'addresses': [{'address': address or f'10.0.0.{last}', 'version': 4}],
    }
    if network is not None:
        made['libvirt_network'] = network
    return made | values


class NetworksTestCase(base.TestCase):
    """A libvirt with several networks."""

    def setUp(self):
        super().setUp()
        path = os.path.join(self.directory, 'node.xml')
        known = (
            written('default', 0, WITH_DHCP)
            + written('other', 1, WITH_DHCP)
            + written('static', 2, STATIC)
            + written('plain', 3, '')
        )
        with open(path, 'w') as file:
            file.write(f'<node>{known}</node>')
        self.connection = Connection(f'test://{path}')
        self.addCleanup(self.connection.close)

    def network(self, name='default'):
        return self.connection.get().networkLookupByName(name)

    def reserved(self, name='default'):
        """Return MAC and address of the reservations of a network."""
        root = ElementTree.fromstring(self.network(name).XMLDesc())
        return {
            (host.get('mac'), host.get('ip'))
            for host in root.iterfind('ip/dhcp/host')
        }

    def connect(self, *nics, uuid=UUID):
        networks.ensure_reservations(self.connection, uuid, nics)

    def foreign(self, **values):
        """Add a reservation as another process does."""
        text = ' '.join(f"{name}='{value}'" for name, value in values.items())
        self.network().update(
            libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST,
            libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST,
            -1,
            f'<host {text}/>',
            libvirt.VIR_NETWORK_UPDATE_AFFECT_CURRENT,
        )

    def refused(self, text, *nics):
        error = self.assertRaises(exception.GuestFailed, self.connect, *nics)
        self.assertIn(text, str(error))
        self.assertIn(UUID, str(error))


class ReservationsTest(NetworksTestCase):
    """The addresses that DHCP reserves."""

    def test_made_and_removed(self):
        self.connect(
            nic(5, 1),
            nic(6, 2),
            nic(mac=3, network='other', address='10.0.1.9'),
        )
        self.assertEqual(
            {
                ('fa:16:3e:00:00:01', '10.0.0.5'),
                ('fa:16:3e:00:00:02', '10.0.0.6'),
            },
            self.reserved(),
        )
        self.assertEqual(
            {('fa:16:3e:00:00:03', '10.0.1.9')}, self.reserved('other')
        )
        self.connect(nic(7, 4), uuid=OTHER)
        self.assertEqual(
            {UUID, OTHER}, networks.guests_with_reservations(self.connection)
        )
        networks.remove_reservations(self.connection, UUID)
        self.assertEqual({('fa:16:3e:00:00:04', '10.0.0.7')}, self.reserved())
        self.assertEqual(set(), self.reserved('other'))
        self.assertEqual(
            {OTHER}, networks.guests_with_reservations(self.connection)
        )
        networks.remove_reservations(self.connection, UUID)

    def test_again_changes_nothing(self):
        self.connect(nic())
        before = self.network().XMLDesc()
        with mock.patch.object(networks.NetworkConfig, 'update') as update:
            self.connect(nic())
        update.assert_not_called()
        self.assertEqual(before, self.network().XMLDesc())

    def test_stale_reservation_is_replaced(self):
        self.connect(nic(5, 1), uuid=OTHER)
        self.connect(nic(5, 2))
        self.assertEqual({('fa:16:3e:00:00:02', '10.0.0.5')}, self.reserved())
        self.assertEqual(
            {UUID}, networks.guests_with_reservations(self.connection)
        )

    def test_outdated_reservation_is_replaced(self):
        self.connect(nic(5, 1))
        self.connect(nic(6, 1))
        self.assertEqual({('fa:16:3e:00:00:01', '10.0.0.6')}, self.reserved())

    def test_those_of_others_are_left_alone(self):
        self.foreign(mac='52:54:00:00:00:01', name='printer', ip='10.0.0.5')
        self.foreign(name='minova-unknown', ip='10.0.0.8')
        self.refused('reserves 10.0.0.5 for 52:54:00:00:00:01', nic(5))
        self.refused('reserves 10.0.0.8 for another', nic(8))
        self.assertEqual(
            set(), networks.guests_with_reservations(self.connection)
        )
        networks.remove_reservations(self.connection, UUID)
        self.assertEqual(2, len(self.reserved()))

    def test_without_dhcp_there_is_nothing_to_reserve(self):
        self.connect(
            nic(network='static', address='10.0.2.7'),
            nic(network='plain', address='10.9.9.9'),
            nic(network=None, user=True),
            nic(addresses=[{'address': 'fd00::5', 'version': 6}]),
        )
        for name in ('default', 'static', 'plain'):
            self.assertEqual(set(), self.reserved(name))

    def test_removed_by_another_meanwhile(self):
        self.connect(nic())
        real = networks.NetworkConfig.update

        def removed(side, command, what):
            real(side, command, what)
            real(side, command, what)

        with mock.patch.object(networks.NetworkConfig, 'update', removed):
            networks.remove_reservations(self.connection, UUID)
        self.assertEqual(set(), self.reserved())

    def test_failed_removal(self):
        self.connect(nic())
        error = libvirt.libvirtError('busy')
        with mock.patch.object(
            networks.NetworkConfig, 'update', side_effect=error
        ):
            self.assertRaises(
                exception.GuestFailed,
                networks.remove_reservations,
                self.connection,
                UUID,
            )


class TwoSided:
    """A network whose live and persistent configurations differ.

    The test driver shows but one. As libvirt does, it refuses to add what is
    there and to remove what is not.
    """

    def __init__(self, now=(), later=()):
        self.held = {
            1: None if now is None else list(now),
            2: None if later is None else list(later),
        }

    def isActive(self):
        return self.held[1] is not None

    def isPersistent(self):
        return self.held[2] is not None

    def XMLDesc(self, flags=0):
        """Return the live or, with the flag, the persistent XML."""
        found = self.held[2 if flags or self.held[1] is None else 1]
        held = ''.join(one.xml() for one in found)
        ip = WITH_DHCP.format(number=0).replace('</dhcp>', f'{held}</dhcp>')
        return NETWORK.format(name='lan', number=0, ip=ip)

    def update(self, command, section, index, text, flags):
        host = ElementTree.fromstring(text)
        what = networks.Reservation(
            host.get('mac'), host.get('name'), host.get('ip')
        )
        adding = command == libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST
        for side in (1, 2):
            if flags & side and adding == (what in self.held[side]):
                raise libvirt.libvirtError('Operation not supported')
        for side in (1, 2):
            if flags & side and adding:
                self.held[side].append(what)
            elif flags & side:
                self.held[side].remove(what)


class SidesTest(base.TestCase):
    """Reservations in both configurations."""

    ours = networks.Reservation(
        'fa:16:3e:00:00:05', f'minova-{UUID}-000005', '10.0.0.5'
    )

    def connection(self, network):
        opened = mock.Mock()
        opened.listAllNetworks.return_value = [network]
        opened.networkLookupByName.return_value = network
        connection = mock.Mock(uri='qemu+ssh://b/system')
        connection.get.return_value = opened
        return connection

    def held(self, network):
        """Reserve and remove; return the reservations in between."""
        connection = self.connection(network)
        networks.ensure_reservations(connection, UUID, [nic(5, 5, 'lan')])
        self.assertEqual({UUID}, networks.guests_with_reservations(connection))
        found = copy.deepcopy(network.held)
        networks.remove_reservations(connection, UUID)
        self.assertEqual(set(), networks.guests_with_reservations(connection))
        return found

    def test_missing_side_is_repaired(self):
        for now, later in (
            ((), ()),
            ((self.ours,), ()),
            ((), (self.ours,)),
            ((self.ours,), (self.ours,)),
        ):
            network = TwoSided(now, later)
            self.assertEqual(
                {1: [self.ours], 2: [self.ours]}, self.held(network)
            )

    def test_transient_network(self):
        network = TwoSided(later=None)
        self.assertEqual({1: [self.ours], 2: None}, self.held(network))

    def test_inactive_network(self):
        network = TwoSided(None, (self.ours,))
        connection = self.connection(network)
        self.assertEqual({UUID}, networks.guests_with_reservations(connection))
        networks.remove_reservations(connection, UUID)
        self.assertEqual({1: None, 2: []}, network.held)


class MissingTest(NetworksTestCase):
    """Errors for missing networks and bridges."""

    def test_no_such_network(self):
        self.refused(
            'libvirt has no network lan; define it', nic(network='lan')
        )

    def test_network_is_not_active(self):
        self.network().destroy()
        self.refused('network default of the host', nic())
        self.refused('virsh net-start default', nic())

    def test_another_cidr(self):
        self.refused(
            'has 10.0.0.0/24, and 10.7.0.5 of network private is outside of '
            'it',
            nic(address='10.7.0.5'),
        )

    def test_no_such_bridge(self):
        plugged = nic(network=None, bridge='nobridge0')
        self.connect(plugged)
        for uri, emitted in (
            ('qemu:///system', True),
            ('qemu:///session', True),
            # Another machine, or a place of its own on this one.
            ('qemu+ssh://b/system', False),
            ('qemu:///system?socket=/run/rig/a', False),
        ):
            far = mock.Mock(uri=uri)
            if emitted:
                error = self.assertRaises(
                    exception.GuestFailed,
                    networks.ensure_reservations,
                    far,
                    UUID,
                    [plugged],
                )
                self.assertIn('has no bridge nobridge0, which', str(error))
            else:
                networks.ensure_reservations(far, UUID, [plugged])
        networks.ensure_reservations(
            mock.Mock(uri='qemu:///system'), UUID, [plugged | {'bridge': 'lo'}]
        )

    def test_a_libvirt_without_networks(self):
        error = libvirt.libvirtError('no')
        error.err = (libvirt.VIR_ERR_NO_SUPPORT, 0, 'no', 0, '', None, None)
        opened = mock.Mock()
        opened.listAllNetworks.side_effect = error
        connection = mock.Mock(uri='test:///x')
        connection.get.return_value = opened
        networks.remove_reservations(connection, UUID)
        self.assertEqual(set(), networks.guests_with_reservations(connection))

    def test_networks_that_cannot_be_read(self):
        opened = mock.Mock()
        opened.listAllNetworks.side_effect = libvirt.libvirtError('broken')
        connection = mock.Mock(uri='test:///x')
        connection.get.return_value = opened
        for ask in (
            lambda: networks.guests_with_reservations(connection),
            lambda: networks.remove_reservations(connection, UUID),
        ):
            self.assertRaises(exception.GuestFailed, ask)
