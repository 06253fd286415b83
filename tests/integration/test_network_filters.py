# SPDX-License-Identifier: Apache-2.0
"""Filters of networks: a real libvirt, its ebtables, real guests.

A guest with an address by DHCP tries to send with another address and another
MAC; the DHCP server answers whatever arrives.
"""

import os
import re
import shutil

from minova import clock
from minova.rig import guest
from minova.virt.libvirt import network_filters
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.qemu.driver import open_driver
from tests import base
from tests.fixtures.namespaced_host import NAME
from tests.fixtures.namespaced_host import NamespacedHost
from tests.integration import test_dhcp
from tests.unit.virt.rigs import spec
from tests.unit.virt.rigs import UUID

_REACHES = re.compile(r'REACHES own=(\w+) address=(\w+) mac=(\w+)\r?\n')


class GuestsTest(base.TestCase):
    """What a guest can send, with the definitions of the driver."""

    time_limit = 600

    def setUp(self):
        super().setUp()
        self.host = self.useFixture(NamespacedHost())
        options = self.host.options(NAME)
        for group in ('compute', 'libvirt'):
            self.config(group, **options[group])
        self.driver = open_driver(NAME)
        self.addCleanup(self.driver.close)
        self.driver.inventory()

    def start_guest(self, number, **values):
        """Start a guest on a network of its own; return its uuid."""
        name = f'net{number}'
        test_dhcp.define(self.driver.connection.get(), name, number).create()
        address = f'10.0.{number}.5'
        nic = test_dhcp.nic(number, address, name) | values
        words = f'{guest.COMMAND_LINE} minova.other=10.0.{number}.66'
        image = {
            'kernel_id': UUID,
            'ramdisk_id': UUID,
            'os_command_line': words,
        }
        uuid = clock.uuid4()
        made = spec(uuid, memory_mb=96, nics=(nic,), image=image)
        self.driver.create_disks(made, None)
        folder = os.path.join(self.host.instances_path(NAME), uuid)
        for part in ('kernel', 'ramdisk'):
            path = getattr(self.host.guest, part)
            shutil.copyfile(path, os.path.join(folder, part))
        self.driver.define(made)
        self.driver.start(uuid)
        return uuid

    def rules(self):
        """Return the rules about packets of guests."""
        text = self.host.run('ebtables', '-t', 'nat', '-L')
        return ''.join(re.findall(r'(?m)^-p .*\n', text))

    def reached(self, uuid):
        """Wait for what a guest could reach; return it."""
        until = clock.monotonic() + 300
        while not (
            found := _REACHES.findall(self.host.console_text(NAME, uuid))
        ):
            if clock.monotonic() > until:
                self.fail(self.host.console_text(NAME, uuid)[-2000:])
            clock.sleep(0.1)
        self.driver.destroy(uuid)
        return found[0]

    def test_own_address_and_mac_only(self):
        # Without filters all arrives, so the guest does try.
        unfiltered = self.start_guest(1, port_security_enabled=False)
        self.assertEqual('', self.rules())
        filtered = self.start_guest(2)
        rules = self.rules()
        for answer in (
            '--ip-proto udp --ip-sport 67 -j DROP',
            '--ip6-proto udp --ip6-sport 547 -j DROP',
            '--ip6-icmp-type router-advertisement -j DROP',
        ):
            self.assertIn(answer, rules)
        self.assertEqual(('yes', 'yes', 'yes'), self.reached(unfiltered))
        self.assertEqual(('yes', 'no', 'no'), self.reached(filtered))


class FiltersTest(base.TestCase):
    """The filters in a libvirt that an administrator changes, too."""

    def setUp(self):
        super().setUp()
        self.host = self.useFixture(NamespacedHost())
        self.connection = Connection(self.host.uri)
        self.addCleanup(self.connection.close)
        self.filters = network_filters.NetworkFilters(self.connection)
        self.nic = {'label': 'private', 'bridge': 'br0'}

    def read(self, name):
        return self.connection.get().nwfilterLookupByName(name).XMLDesc()

    def test_restored(self):
        name = 'minova-no-ip-spoofing'
        self.filters.ensure(
            UUID, [self.nic | {'port_security_enabled': False}]
        )
        self.assertEqual([], self.connection.get().listNWFilters())
        self.filters.ensure(UUID, [self.nic])
        before = self.read(name)
        self.assertEqual(5, len(self.connection.get().listNWFilters()))
        changed = re.sub(r'<rule.*</rule>', '', before, flags=re.DOTALL)
        self.connection.get().nwfilterDefineXML(changed)
        self.assertNotEqual(before, self.read(name))
        self.filters.restore()
        self.assertEqual(before, self.read(name))
        self.assertIn(f'Filter {name} of libvirt was not', self.log.output)
        # The next start of the service knows no definition.
        network_filters.NetworkFilters(self.connection).restore()
        self.assertEqual(1, self.log.output.count('was not that of this'))
        for one in network_filters.FILTER, name:
            self.connection.get().nwfilterLookupByName(one).undefine()
        self.filters.restore()
        self.assertEqual(before, self.read(name))
