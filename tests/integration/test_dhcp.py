# SPDX-License-Identifier: Apache-2.0
"""Addresses by DHCP: a real network of libvirt, its dnsmasq, real guests.

The guest requests an address at boot and writes address and DHCP server to its
console.
"""

import json
import re
import subprocess
import sys

import libvirt

from minova import exception
from minova.virt.libvirt import networks
from minova.virt.libvirt.connection import Connection
from tests import base
from tests.fixtures.namespaced_host import NAME
from tests.fixtures.namespaced_host import NamespacedHost
from tests.integration.qemu import QemuTestCase
from tests.unit.virt.rigs import OTHER
from tests.unit.virt.rigs import UUID

NETWORK = """
<network>
  <name>{name}</name>
  <bridge name='virbr{number}'/>
  {forward}
  <ip address='10.0.{number}.1' netmask='255.255.255.0'>
    <dhcp>
      <range start='10.0.{number}.200' end='10.0.{number}.254'/>
    </dhcp>
  </ip>
</network>
"""
_ADDRESS = re.compile(r'ADDRESS (\S+) from (\S+) for (\S+)\r?\n')
_ADD = libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST
_DELETE = libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE


def define(opened, name='lan', number=0, forward=''):
    """Define a network; it is not active yet."""
    text = NETWORK.format(name=name, number=number, forward=forward)
    return opened.networkDefineXML(text)


def nic(number, address, network='lan'):
    return {
        'mac': f'fa:16:3e:00:00:{number:02x}',
        'label': 'private',
        'libvirt_network': network,
        'addresses': [{'address': address, 'version': 4}],
    }


def reserved(network):
    """Return the reservations of the live and the persistent definition."""
    return [
        sorted(str(one.guest) for one in side.reservations())
        for side in networks.network_configs(network)
    ]


class ServersTest(QemuTestCase):
    """Servers and the addresses of their guests."""

    def make_rig(self):
        return NamespacedHost()

    def setUp(self):
        super().setUp()
        self.opened = self.rig.open()
        self.addCleanup(self.opened.close)
        self.network = define(self.opened)
        made = subprocess.check_output(
            [
                *(*self.manage, 'network', 'create', 'private'),
                *('--libvirt-network', 'lan', '--cidr', '10.0.0.0/24'),
                *('--pool', '10.0.0.10-10.0.0.99'),
            ],
            text=True,
        )
        self.network_id = re.search(r'[0-9a-f-]{36}', made)[0]
        self.make_image()

    def audit(self, *words):
        """Return the findings of the audit, and whether they are repaired."""
        conf = self.cluster.services['conductor-c0'].conf_path
        emitted = subprocess.run(
            [
                *(sys.executable, '-m', 'minova.cmd.manage'),
                *(f'--config-file={conf}', 'audit', '--json', *words),
            ],
            stdout=subprocess.PIPE,
        ).stdout
        return [
            (found['rule'], found['instance'], found['repaired'])
            for found in json.loads(emitted)['findings']
            if found['severity'] != 'information'
        ]

    def shown(self, uuid):
        """Return address and MAC from the API."""
        (one,) = self.user.show(uuid)['addresses']['private']
        return one['addr'], one['OS-EXT-IPS-MAC:mac_addr']

    def assert_given(self, uuid, boots=1):
        """The guest has its address after each boot."""
        self.wait_for(
            lambda: (
                len(_ADDRESS.findall(self.rig.console_text(NAME, uuid)))
                >= boots
            )
        )
        address, mac = self.shown(uuid)
        self.assertEqual(
            [(address, '10.0.0.1', mac)] * boots,
            _ADDRESS.findall(self.rig.console_text(NAME, uuid)),
        )
        return address

    def test_from_create_to_delete(self):
        self._not_active()
        self.network.create()
        one, two = self.user.create(), self.user.create()
        for uuid in (one, two):
            self.user.wait(uuid, 'ACTIVE')
        first, second = map(self.assert_given, (one, two))
        self.assertNotEqual(first, second)
        self.assertEqual([sorted((one, two))] * 2, reserved(self.network))
        self._libvirtd_is_killed(one, two)
        self.user.act(one, 'reboot', {'type': 'HARD'})
        self.user.wait(one, 'ACTIVE')
        self.assertEqual(first, self.assert_given(one, boots=2))
        self.assertEqual([sorted((one, two))] * 2, reserved(self.network))
        self.user.delete(one)
        self.assertEqual([[two]] * 2, reserved(self.network))
        self._given_to_another(first)
        self._left_behind(one, first, two)
        self.user.delete(two)
        self.assertEqual([[], []], reserved(self.network))
        self.assertEqual([], self.opened.listAllDomains())
        self.assert_nothing_left()

    def _not_active(self):
        """The create fails with instructions in the fault."""
        uuid = self.user.create()
        self.user.wait(uuid, 'ERROR')
        emitted = subprocess.check_output(
            [*self.manage, 'timeline', uuid], text=True
        )
        self.assertIn(
            "network lan of the host's libvirt is not active; start it "
            '(virsh net-start lan; virsh net-autostart lan)',
            ' '.join(emitted.split()),
        )
        self.user.delete(uuid)
        self.assertEqual([[]], reserved(self.network))

    def _libvirtd_is_killed(self, *uuids):
        """Guests, network and DHCP server survive libvirtd and are found."""
        self.rig.kill_libvirtd()
        self.rig.start_libvirtd()
        self.opened = self.rig.open()
        self.addCleanup(self.opened.close)
        self.network = self.opened.networkLookupByName('lan')
        self.assertTrue(self.network.isActive())
        self.assertEqual([sorted(uuids)] * 2, reserved(self.network))
        self.assertEqual([], self.audit())

    def _given_to_another(self, address):
        """An address is reused while the lease of its last guest may run."""
        leases = {one['ipaddr'] for one in self.network.DHCPLeases()}
        self.assertIn(address, leases)
        wanted = {'uuid': self.network_id, 'fixed_ip': address}
        uuid = self.user.boot(networks=[wanted])
        self.assertEqual(address, self.assert_given(uuid))
        self.user.delete(uuid)

    def _left_behind(self, uuid, address, other):
        """The audit removes the reservation of a deleted server."""
        connection = Connection(self.rig.uri)
        self.addCleanup(connection.close)
        networks.ensure_reservations(connection, uuid, [nic(1, address)])
        networks.ensure_reservations(connection, UUID, [nic(2, '10.0.0.100')])
        stray = ('stray_reservation', uuid)
        unknown = ('unknown_reservation', UUID)
        self.assertEqual(
            {(*stray, True), (*unknown, False)}, set(self.audit('--repair'))
        )
        self.assertEqual(
            [(*unknown, True)], self.audit('--repair', '--instance', UUID)
        )
        self.assertEqual(
            {other}, networks.guests_with_reservations(connection)
        )


class NetworkTest(base.TestCase):
    """A network that an administrator changes, too."""

    def setUp(self):
        super().setUp()
        self.host = self.useFixture(NamespacedHost())
        self.connection = Connection(self.host.uri)
        self.addCleanup(self.connection.close)
        self.network = define(
            self.connection.get(), 'nat', 1, "<forward mode='nat'/>"
        )

    def connect(self, uuid=UUID, number=5):
        networks.ensure_reservations(
            self.connection, uuid, [nic(number, f'10.0.1.{number}', 'nat')]
        )

    def change(self, command, number, flags):
        """Change a reservation, as with virsh net-update."""
        name = f'minova-{UUID}-{number:06x}'
        mac = f'fa:16:3e:00:00:{number:02x}'
        what = networks.Reservation(mac, name, f'10.0.1.{number}')
        networks.NetworkConfig(self.network, 0, flags).update(command, what)

    def test_persistent_or_live_definition_only(self):
        self.network.create()
        now = libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE
        later = libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG
        for flags, left in ((now, [[], [UUID]]), (later, [[UUID], []])):
            self.connect()
            self.change(_DELETE, 5, flags)
            self.assertEqual(left, reserved(self.network))
            # The start of a guest restores both definitions.
            self.connect()
            self.assertEqual([[UUID]] * 2, reserved(self.network))
            # The delete of a guest removes both.
            self.change(_DELETE, 5, flags)
            self.assertEqual(
                {UUID}, networks.guests_with_reservations(self.connection)
            )
            networks.remove_reservations(self.connection, UUID)
            self.assertEqual([[], []], reserved(self.network))

    def test_switched_off_and_on(self):
        self.assertRaises(exception.GuestFailed, self.connect)
        self.network.create()
        self.connect()
        self.connect(OTHER, 6)
        self.network.destroy()
        self.assertEqual([sorted((UUID, OTHER))], reserved(self.network))
        networks.remove_reservations(self.connection, UUID)
        self.network.create()
        self.assertEqual([[OTHER]] * 2, reserved(self.network))
        self.change(_ADD, 5, libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG)
        self.network.undefine()
        # The network has no persistent definition any more.
        self.assertEqual([[OTHER]], reserved(self.network))
        networks.remove_reservations(self.connection, OTHER)
        self.assertEqual([[]], reserved(self.network))
