# SPDX-License-Identifier: Apache-2.0
"""Suspend and rescue with libvirt, and crashes of a host."""

from unittest import mock

import libvirt

from minova import exception
from minova.states import PowerState
from tests.unit.virt.libvirt import test_guests
from tests.unit.virt.libvirt.embedded import test_driver_crashes
from tests.unit.virt.rigs import spec
from tests.unit.virt.rigs import UUID

RESCUE = {'image_id': 'tools', 'name': 'tools', 'disk_format': 'qcow2'}


class SurprisesTest(test_guests.GuestsTestCase):
    """Side effects of libvirt."""

    def test_an_earlier_call_has_saved_it(self):
        domain = self.running()
        kind = type(domain)
        real = kind.managedSave

        def late(domain, flags):
            real(domain, flags)
            return real(domain, flags)

        with mock.patch.object(kind, 'managedSave', late):
            self.guests.suspend(UUID)
        self.assertEqual(PowerState.SHUTDOWN, self.guests.guest(UUID).power)
        self.assertTrue(self.guests.has_managed_save(UUID))

    def test_guest_stops_during_suspend(self):
        domain = self.running()
        kind = type(domain)
        real = kind.managedSave

        def late(domain, flags):
            domain.destroy()
            return real(domain, flags)

        with mock.patch.object(kind, 'managedSave', late):
            error = self.assertRaises(
                exception.GuestFailed, self.guests.suspend, UUID
            )
        self.assertIn('not running', str(error))
        self.assertFalse(self.guests.has_managed_save(UUID))

    def test_save_fails(self):
        kind = type(self.running())

        def full(domain, flags):
            raise libvirt.libvirtError('No space left on device')

        with mock.patch.object(kind, 'managedSave', full):
            error = self.assertRaises(
                exception.GuestFailed, self.guests.suspend, UUID
            )
        self.assertIn('No space left', str(error))
        self.assertEqual(PowerState.RUNNING, self.guests.guest(UUID).power)

    def test_unreadable_saved_memory_is_kept(self):
        kind = type(self.running())
        self.guests.suspend(UUID)

        def broken(domain):
            raise libvirt.libvirtError('image magic is incorrect')

        with mock.patch.object(kind, 'create', broken):
            error = self.assertRaises(
                exception.GuestFailed, self.guests.resume, UUID
            )
        self.assertIn('magic', str(error))
        self.assertTrue(self.guests.has_managed_save(UUID))
        self.guests.resume(UUID)
        self.assertEqual(PowerState.RUNNING, self.guests.guest(UUID).power)

    def test_paused_guest_is_resumed(self):
        domain = self.running()
        domain.suspend()
        self.guests.resume(UUID)
        self.assertEqual(PowerState.RUNNING, self.guests.guest(UUID).power)

    def test_guest_vanishes_during_query(self):
        kind = type(self.running())
        self.guests.suspend(UUID)

        def late(domain):
            raise _no_domain()

        with mock.patch.object(kind, 'isActive', late):
            self.assertFalse(self.guests.has_managed_save(UUID))

    def test_the_format_of_the_rescue_disk_is_the_images(self):
        rescue, root = self.disks.list_disks(spec(rescue=RESCUE))
        self.assertEqual(('vda', 'qcow2'), (rescue.target, rescue.format))
        self.assertEqual(('vdb', 'raw'), (root.target, root.format))

    def test_all_disks_follow_the_rescue_disk(self):
        made = spec(rescue=RESCUE, ephemeral_gb=1, swap_mb=1)
        found = [
            (disk.target, disk.path.rpartition('/')[2])
            for disk in self.disks.list_disks(made)
        ]
        self.assertEqual(
            [
                ('vda', 'disk.rescue'),
                ('vdb', 'disk'),
                ('vdc', 'disk.ephemeral'),
                ('vdd', 'disk.swap'),
            ],
            found,
        )


def _no_domain():
    error = libvirt.libvirtError('no domain')
    error.err = (libvirt.VIR_ERR_NO_DOMAIN, 0, 'no domain')
    return error


class CrashTest(test_driver_crashes.CrashTestCase):
    """An embedded host is killed at every effect."""

    def test_suspend(self):
        def after():
            self.assertEqual(PowerState.SHUTDOWN, self.power())
            self.assertTrue(self.a.has_managed_save(UUID))

        self.kill_everywhere(
            lambda: self.guest(PowerState.RUNNING),
            lambda: self.a.suspend(UUID),
            after,
            # Saved, or still on: never off with nothing saved.
            lambda: self.assertEqual(
                self.power() is PowerState.SHUTDOWN,
                self.a.has_managed_save(UUID),
            ),
        )

    def test_resume(self):
        def before():
            self.guest(PowerState.RUNNING)
            self.a.suspend(UUID)

        def after():
            self.assertEqual(PowerState.RUNNING, self.power())
            self.assertFalse(self.a.has_managed_save(UUID))

        self.kill_everywhere(
            before,
            lambda: self.a.resume(UUID),
            after,
            lambda: self.assertEqual(
                self.power() is PowerState.SHUTDOWN,
                self.a.has_managed_save(UUID),
            ),
        )

    def test_make_a_rescue_disk(self):
        self.kill_everywhere(
            lambda: self.guest(PowerState.RUNNING),
            lambda: self.a.create_rescue_disk(spec(rescue=RESCUE), None),
            lambda: self.assertTrue(self.rig.has_rescue_disk('a', UUID)),
        )

    def test_remove_a_rescue_disk(self):
        def before():
            self.guest(PowerState.RUNNING)
            self.a.create_rescue_disk(spec(rescue=RESCUE), None)

        self.kill_everywhere(
            before,
            lambda: self.a.remove_rescue_disk(UUID),
            lambda: self.assertFalse(self.rig.has_rescue_disk('a', UUID)),
        )
