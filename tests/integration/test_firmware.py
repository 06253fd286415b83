# SPDX-License-Identifier: Apache-2.0
"""The UEFI firmware of real guests, driven by the drivers of two hosts.

The guest says on its console what its firmware has kept for it.
"""

import os
import re
import time

from minova.objects.live_migrate_data import LiveMigrateSource
from minova.rig import guest
from minova.states import PowerState
from minova.virt.driver import Peer
from minova.virt.libvirt.qemu import driver as qemu_driver
from minova.virt.libvirt.qemu import host_config
from tests import base
from tests.fixtures.rig import Rig
from tests.unit.virt.rigs import spec
from tests.unit.virt.rigs import UUID

_FIRMWARE = re.compile(r'FIRMWARE uefi secure=(\d) variable=([0-9a-f-]{36})')
_TPM = re.compile(r'TPM 2 stored=([0-9a-f]{32})')
#: Seconds; the firmware is slow under emulation.
_BOOT = 240


class RealGuestTestCase(base.TestCase):
    """Two hosts with drivers, without services."""

    time_limit = 900

    def setUp(self):
        super().setUp()
        self.rig = self.useFixture(Rig())
        self.config(state_path=self.directory)
        self.drivers = {host: self.open(host) for host in self.rig.hosts}
        self.a, self.b = self.drivers.values()

    def open(self, host):
        """Return the driver of a host."""
        options = self.rig.options(host)
        # Both hosts are one process, which has one address.
        options['DEFAULT'] = {'my_ip': '127.0.0.1'}
        for group, values in options.items():
            self.config(group=None if group == 'DEFAULT' else group, **values)
        driver = qemu_driver.build_driver(host_config.from_config(host))
        self.addCleanup(driver.close)
        return driver

    def spec(self, extra_specs=None, **image):
        """Return the spec of the counting guest with image properties."""
        return spec(
            memory_mb=256,
            kernel=self.rig.guest.kernel,
            ramdisk=self.rig.guest.ramdisk,
            extra_specs=extra_specs or {},
            image={
                'kernel_id': 'kernel',
                'ramdisk_id': 'ramdisk',
                'os_command_line': guest.COMMAND_LINE,
            }
            | image,
        )

    def start(self, driver, made):
        """Define and start a guest; return what it says when it counts."""
        before = self.boots(driver)
        driver.define(made)
        driver.start(UUID)
        return self.wait_for_boot(driver, before)

    def host(self, driver):
        (found,) = (
            name for name, one in self.drivers.items() if one is driver
        )
        return found

    def boots(self, driver):
        return {one.boot for one in self.rig.counts(self.host(driver), UUID)}

    def wait_for_boot(self, driver, before):
        """Wait until a guest counts that has booted since ``before``."""
        until = time.monotonic() + _BOOT
        while not self.boots(driver) - before:
            self.assertLess(time.monotonic(), until, self.text(driver))
            time.sleep(0.2)
        return self.text(driver)

    def text(self, driver):
        return self.rig.console_text(self.host(driver), UUID)

    def send_disks(self, source, dest, made):
        """Send the disks of a guest that is off; the source retains them."""
        peer = Peer(self.host(dest), '127.0.0.1')
        ticket = dest.prepare_disk_transfer(made)
        for _ in source.send_disks(UUID, peer, ticket):
            continue
        source.retain_disks(UUID)
        source.destroy(UUID)
        dest.commit_received_disks(UUID)

    def live_migrate(self, source, dest, made):
        """Migrate a running guest with its disks."""
        before = self.rig.wait_for_count(self.host(source), UUID)
        found = dest.check_can_live_migrate_destination(
            made,
            LiveMigrateSource(host=self.host(source), cpu_info={}),
            None,
            False,
        )
        data = source.check_can_live_migrate_source(UUID, found, None)
        data = dest.pre_live_migration(made, data)
        peer = Peer(self.host(dest), '127.0.0.1')
        source.start_live_migration(UUID, peer, data)
        until = time.monotonic() + 120
        while (status := source.migration_status(UUID)).state == 'running':
            self.assertLess(time.monotonic(), until)
            time.sleep(0.2)
        self.assertEqual('completed', status.state, status.error)
        dest.define(made)
        source.remove_disks(UUID)
        after = self.rig.wait_for_count(self.host(dest), UUID)
        self.assertEqual(before.memory, after.memory)


class FirmwareTest(RealGuestTestCase):
    """UEFI and Secure Boot."""

    def kept(self, text):
        """Return what the last boot said: Secure Boot, the variable."""
        return _FIRMWARE.findall(text)[-1]

    def test_variables_stay_with_the_guest(self):
        made = self.spec(hw_firmware_type='uefi')
        self.a.create_disks(made, None)
        kept = self.kept(self.start(self.a, made))
        self.assertEqual('0', kept[0])
        # The definition of a guest is removed and comes back.
        self.a.power_off(UUID)
        self.a.destroy(UUID)
        self.assertEqual(kept, self.kept(self.start(self.a, made)))
        # A live migration takes them along, for the next boot.
        self.live_migrate(self.a, self.b, made)
        self.b.power_off(UUID)
        self.assertEqual(kept, self.kept(self.start(self.b, made)))
        # So does a transfer of the disks.
        self.b.power_off(UUID)
        self.send_disks(self.b, self.a, made)
        self.assertEqual(kept, self.kept(self.start(self.a, made)))
        # A rebuilt guest has another disk and the same variables.
        disk = self.rig.counts(self.host(self.a), UUID)[-1].disk
        self.a.power_off(UUID)
        self.a.retain_disks(UUID)
        self.a.create_disks(made, None)
        self.assertEqual(kept, self.kept(self.start(self.a, made)))
        count = self.rig.counts(self.host(self.a), UUID)[-1]
        self.assertNotEqual(disk, count.disk)
        self.a.destroy(UUID)
        self.a.remove_disks(UUID)
        self.a.discard_disks(UUID)
        self.b.discard_disks(UUID)
        self.assertEqual([], self.a.list_host_contents())
        self.assertEqual([], self.b.list_host_contents())

    def test_secure_boot(self):
        have = self.a.inventory().traits
        self.assertIn('COMPUTE_SECURITY_UEFI_SECURE_BOOT', have)
        made = self.spec(hw_firmware_type='uefi', os_secure_boot='required')
        self.a.create_disks(made, None)
        self.assertEqual('1', self.kept(self.start(self.a, made))[0])
        folder = os.path.join(self.rig.instances_path(self.host(self.a)), UUID)
        self.assertIn('nvram.secure', os.listdir(folder))
        self.assertEqual(PowerState.RUNNING, self.a.guest(UUID).power)


class TpmTest(RealGuestTestCase):
    """An emulated TPM 2.0."""

    def kept(self, text):
        """Return what the last boot read from the TPM."""
        return _TPM.findall(text)[-1]

    def test_state_stays_with_the_guest(self):
        for driver in (self.a, self.b):
            self.assertIn(
                'COMPUTE_SECURITY_TPM_2_0', driver.inventory().traits
            )
        made = self.spec({'hw:tpm_version': '2.0', 'hw:tpm_model': 'tpm-crb'})
        self.a.create_disks(made, None)
        kept = self.kept(self.start(self.a, made))
        self.a.power_off(UUID)
        self.a.destroy(UUID)
        self.assertEqual(kept, self.kept(self.start(self.a, made)))
        # A transfer of the disks takes the state along.
        self.a.power_off(UUID)
        self.send_disks(self.a, self.b, made)
        self.assertEqual(kept, self.kept(self.start(self.b, made)))
        # So does a live migration, for the next boot.
        self.a.discard_disks(UUID)
        self.live_migrate(self.b, self.a, made)
        self.a.power_off(UUID)
        self.assertEqual(kept, self.kept(self.start(self.a, made)))
        # Nothing is left of a guest that is deleted.
        self.a.destroy(UUID)
        self.a.remove_disks(UUID)
        for name, host in self.rig.hosts.items():
            self.assertEqual([], self.drivers[name].list_host_contents())
            states = f'{host.directory}/config/libvirt/qemu/swtpm'
            self.assertEqual([], os.listdir(states))
