# SPDX-License-Identifier: Apache-2.0
"""Evacuation of real guests, with a shared disk."""

from tests.integration.qemu import QemuTestCase


class SharedDiskTest(QemuTestCase):
    """Hosts with a shared directory; one of them dies or is cut off."""

    shared = True

    def force_down(self, host, is_down=True):
        self.user.request(
            'PUT',
            '/os-services/force-down',
            {'host': host, 'binary': 'nova-compute', 'forced_down': is_down},
        )

    def evacuate(self, uuid):
        self.user.act(uuid, 'evacuate', {})

    def wait_released(self, uuid):
        """Wait for the end of the evacuation, whatever it is."""
        self.wait_for(
            lambda: self.user.show(uuid)['OS-EXT-STS:task_state'] is None
        )

    def restart(self, host):
        """Let a host return and have servers again."""
        self.force_down(host, False)
        self.computes[host].start()
        self.computes[host].wait_for('is ready.', times=2)

    def test_killed_host(self):
        uuid, here = self.boot()
        there = self.other(here)
        before = self.rig.counts(here, uuid)[-1]
        self.computes[here].kill()
        self.rig.kill_guest(here, uuid)
        self.force_down(here)
        self.evacuate(uuid)
        self.user.wait(uuid, 'ACTIVE')
        self.assertEqual(there, self.user.host(uuid))
        after = self.rig.wait_for_count(there, uuid)
        # Another boot, from the same disk.
        self.assertNotEqual(before.boot, after.boot)
        self.assertEqual(before.disk, after.disk)
        self.restart(here)
        self.wait_for(
            lambda: (
                'removing the guest and its disks'
                in (self.computes[here].log_text())
            )
        )
        # The disk is still there, and so is the guest that writes to it.
        self.rig.wait_for_count(there, uuid)
        self.assert_runs_once(uuid, there)
        self.user.act(uuid, 'reboot', {'type': 'HARD'})
        self.user.wait(uuid, 'ACTIVE')
        self.assertEqual(
            before.disk, self.rig.wait_for_count(there, uuid).disk
        )
        self.user.delete(uuid)
        self.assert_nothing_left()

    def test_guest_that_still_runs(self):
        # The operator is wrong: only the network of the host is cut.
        uuid, here = self.boot()
        there = self.other(here)
        self.computes[here].kill()
        self.force_down(here)
        self.evacuate(uuid)
        self.wait_released(uuid)
        shown = self.user.show(uuid)
        self.assertEqual(here, shown['OS-EXT-SRV-ATTR:host'])
        self.assert_runs_once(uuid, here)
        self.rig.wait_for_count(here, uuid)
        (last, *_) = self.user.request(
            'GET', f'/servers/{uuid}/os-instance-actions'
        )['instanceActions']
        self.assertEqual('evacuate', last['action'])
        self.rig.kill_guest(here, uuid)
        self.evacuate(uuid)
        self.user.wait(uuid, 'ACTIVE')
        self.wait_for(lambda: self.user.host(uuid) == there)
        self.rig.wait_for_count(there, uuid)
        self.assert_runs_once(uuid, there)
        self.restart(here)
        self.user.delete(uuid)
        self.assert_nothing_left()
