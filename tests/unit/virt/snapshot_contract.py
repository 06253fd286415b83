# SPDX-License-Identifier: Apache-2.0
"""The contract of snapshots, a part of that of all drivers."""

from minova import exception
from minova.states import PowerState
from tests.unit.virt.rigs import UUID

IMAGE = 'aaaaaaaa-1111-4222-8333-444444444444'
ANOTHER = 'bbbbbbbb-1111-4222-8333-444444444444'


class Snapshots:
    """The contract of snapshots."""

    def snapshot(self, image_id=IMAGE):
        """Return the data of a complete copy, None without one."""
        found = self.a.find_snapshot(UUID, image_id)
        if found is None:
            return None
        with found.open() as file:
            data = file.read()
        self.assertEqual(found.size, len(data))
        self.assertIn(found.disk_format, ('raw', 'qcow2'))
        return data

    def has_snapshots(self):
        (found,) = self.a.list_host_contents()
        return found.has_snapshots

    def test_snapshot_of_a_guest_that_runs(self):
        self.running()
        boot = self.a.guest(UUID).boot
        self.rig.write('a', UUID, 'before')
        self.assertFalse(self.has_snapshots())
        self.a.take_snapshot(UUID, IMAGE, False)
        self.rig.write('a', UUID, 'after!')
        self.assertIn(b'before', self.snapshot())
        self.assertNotIn(b'after!', self.snapshot())
        self.assertEqual(PowerState.RUNNING, self.power())
        self.assertEqual(boot, self.a.guest(UUID).boot)
        self.assertTrue(self.has_snapshots())

    def test_snapshot_of_a_guest_that_is_off(self):
        self.defined()
        self.rig.write('a', UUID, 'token')
        self.a.take_snapshot(UUID, IMAGE, True)
        self.assertIn(b'token', self.snapshot())
        self.assertEqual(PowerState.SHUTDOWN, self.power())

    def test_complete_snapshot_stays(self):
        self.defined()
        self.rig.write('a', UUID, 'before')
        self.a.take_snapshot(UUID, IMAGE, False)
        self.rig.write('a', UUID, 'after!')
        self.a.take_snapshot(UUID, IMAGE, False)
        self.assertIn(b'before', self.snapshot())

    def test_snapshots_are_removed(self):
        self.defined()
        for image_id in (IMAGE, ANOTHER):
            self.a.take_snapshot(UUID, image_id, False)
        self.a.remove_snapshot(UUID, IMAGE)
        self.assertIsNone(self.snapshot())
        self.assertIsNotNone(self.snapshot(ANOTHER))
        self.assertTrue(self.has_snapshots())
        self.a.remove_snapshot(UUID, None)
        self.assertIsNone(self.snapshot(ANOTHER))
        self.assertFalse(self.has_snapshots())
        self.a.remove_snapshot(UUID, IMAGE)

    def test_snapshots_are_removed_with_the_disks(self):
        self.defined()
        self.a.take_snapshot(UUID, IMAGE, False)
        self.a.destroy(UUID)
        self.a.remove_disks(UUID)
        self.assertEqual([], self.a.list_host_contents())
        self.a.remove_snapshot(UUID, IMAGE)

    def test_snapshot_without_disks(self):
        self.assertIsNone(self.a.find_snapshot(UUID, IMAGE))
        self.assertRaises(
            exception.DiskFailed, self.a.take_snapshot, UUID, IMAGE, False
        )
