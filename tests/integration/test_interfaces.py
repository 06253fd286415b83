# SPDX-License-Identifier: Apache-2.0
"""Network interfaces that a real guest gets and loses while it runs."""

import os
import re
import shutil
import subprocess

import libvirt

from minova import clock
from minova import exception
from minova.rig import guest
from minova.virt.libvirt import network_filters
from minova.virt.libvirt.qemu.driver import open_driver
from tests import base
from tests.fixtures.namespaced_host import NAME
from tests.fixtures.namespaced_host import NamespacedHost
from tests.integration import test_dhcp
from tests.integration.qemu import QemuTestCase
from tests.unit.virt.rigs import spec
from tests.unit.virt.rigs import UUID

_INACTIVE = libvirt.VIR_DOMAIN_XML_INACTIVE
#: A guest that was powered off may have left half a line before it.
_NICS = re.compile(r'NICS(.*?)\r?$', re.MULTILINE)


class DriverTest(base.TestCase):
    """A guest on two networks of libvirt, with filters and reservations."""

    time_limit = 900

    def setUp(self):
        super().setUp()
        self.host = self.useFixture(NamespacedHost())
        options = self.host.options(NAME)
        for group in ('compute', 'libvirt'):
            self.config(group, **options[group])
        self.driver = open_driver(NAME)
        self.addCleanup(self.driver.close)
        self.driver.inventory()
        self.nics = []
        self.networks = []
        for number in (1, 2):
            network = test_dhcp.define(
                self.driver.connection.get(), f'net{number}', number
            )
            network.create()
            self.networks.append(network)
            self.nics.append(
                test_dhcp.nic(number, f'10.0.{number}.5', f'net{number}')
            )

    def start_guest(self):
        image = {
            'kernel_id': UUID,
            'ramdisk_id': UUID,
            'os_command_line': guest.COMMAND_LINE,
        }
        made = spec(memory_mb=96, nics=(self.nics[0],), image=image)
        self.driver.create_disks(made, None)
        folder = os.path.join(self.host.instances_path(NAME), UUID)
        for part in ('kernel', 'ramdisk'):
            path = getattr(self.host.guest, part)
            shutil.copyfile(path, os.path.join(folder, part))
        self.driver.define(made)
        self.driver.start(UUID)
        return made

    def wait_for(self, true, seconds=300):
        until = clock.monotonic() + seconds
        while not true():
            if clock.monotonic() > until:
                text = self.host.console_text(NAME, UUID)
                nics, defined = _NICS.findall(text), self.definition()
                self.fail(f'{nics} in {text[-1000:]}, not as in {defined}')
            clock.sleep(0.1)

    def assert_seen(self, *nics):
        """The guest has written exactly these MACs last."""
        wanted = sorted(nic['mac'] for nic in nics)

        def sees():
            found = _NICS.findall(self.host.console_text(NAME, UUID))
            return bool(found) and sorted(found[-1].split()) == wanted

        self.wait_for(sees)
        self.assertEqual(wanted, sorted(self.driver.interfaces(UUID)))

    def definition(self, flags=0):
        opened = self.driver.connection.get()
        return opened.lookupByUUIDString(UUID).XMLDesc(flags)

    def reserved(self):
        """Return the guests with reservations, live and persistent."""
        return test_dhcp.reserved(self.networks[1])

    def test_hot_plug(self):
        made = self.start_guest()
        first, second = self.nics
        self.assert_seen(first)
        for _ in range(2):
            self.driver.attach_interface(made, second)
            self.assert_seen(first, second)
            self.assertEqual(
                2, self.definition().count(network_filters.FILTER)
            )
            self.assertIn(second['mac'], self.definition(_INACTIVE))
            self.assertEqual([[UUID]] * 2, self.reserved())
            self.driver.detach_interface(UUID, second)
            self.assert_seen(first)
            self.assertNotIn(second['mac'], self.definition(_INACTIVE))
            self.assertEqual([[]] * 2, self.reserved())
        # A paused guest gets one, and cannot release it.
        self.driver.pause(UUID)
        self.driver.attach_interface(made, second)
        error = self.assertRaises(
            exception.GuestFailed,
            self.driver.detach_interface,
            UUID,
            second,
        )
        self.assertIn('is paused', str(error))
        self.driver.unpause(UUID)
        self.assert_seen(first, second)
        # A guest that is off sees the change when it boots.
        self.driver.power_off(UUID)
        self.driver.detach_interface(UUID, first)
        self.driver.start(UUID)
        self.assert_seen(second)
        self.driver.destroy(UUID)


class InterfacesTest(QemuTestCase):
    """A guest with QEMU's user network."""

    def setUp(self):
        super().setUp()
        subprocess.run(
            [*self.manage, 'network', 'create', 'private', '--user'],
            check=True,
            capture_output=True,
        )

    def seen(self, host, uuid):
        """Return the MACs that the guest has written last."""
        found = _NICS.findall(self.rig.console_text(host, uuid))
        return sorted(found[-1].split()) if found else []

    def known(self, uuid):
        """Return the MACs in the API."""
        found = self.user.request('GET', f'/servers/{uuid}/os-interface')
        return sorted(one['mac_addr'] for one in found['interfaceAttachments'])

    def attach(self, uuid):
        return self.user.request(
            'POST',
            f'/servers/{uuid}/os-interface',
            {'interfaceAttachment': {}},
        )['interfaceAttachment']

    def detach(self, uuid, attachment):
        path = f'/servers/{uuid}/os-interface/{attachment["port_id"]}'
        self.user.request('DELETE', path)

    def assert_sees(self, host, uuid, count):
        """The guest, the API and the database agree."""
        self.wait_for(lambda: len(self.known(uuid)) == count)
        self.wait_for(lambda: self.seen(host, uuid) == self.known(uuid))

    def test_attach_and_detach(self):
        uuid, host = self.boot()
        boot = self.rig.counts(host, uuid)[-1].boot
        self.assert_sees(host, uuid, 1)
        second = self.attach(uuid)
        third = self.attach(uuid)
        self.assert_sees(host, uuid, 3)
        # The newest one: QEMU does not migrate a guest whose user networks
        # are not numbered without gaps.
        self.detach(uuid, third)
        self.assert_sees(host, uuid, 2)
        # It moves with the guest, and stays over a cold boot.
        there = self.live_migrate(uuid)
        self.rig.wait_for_count(there, uuid)
        self.assertEqual(boot, self.rig.counts(there, uuid)[-1].boot)
        self.detach(uuid, second)
        self.assert_sees(there, uuid, 1)
        fourth = self.attach(uuid)
        self.user.act(uuid, 'reboot', {'type': 'HARD'})
        self.user.wait(uuid, 'ACTIVE')
        self.wait_for(lambda: self.rig.counts(there, uuid)[-1].boot != boot)
        self.assert_sees(there, uuid, 2)
        # A guest that is off, and a paused one, which cannot release it.
        self.user.act(uuid, 'os-stop')
        self.user.wait(uuid, 'SHUTOFF')
        self.detach(uuid, fourth)
        self.wait_for(lambda: len(self.known(uuid)) == 1)
        self.attach(uuid)
        self.user.act(uuid, 'os-start')
        self.user.wait(uuid, 'ACTIVE')
        self.rig.wait_for_count(there, uuid)
        self.assert_sees(there, uuid, 2)
        self.user.delete(uuid)
        self.assert_nothing_left()
