# SPDX-License-Identifier: Apache-2.0
"""Shelve and unshelve of a real guest, to the other host."""

from tests.integration.qemu import QemuTestCase


class ShelveTest(QemuTestCase):
    """The disk of a guest goes through the image service."""

    conductor = {'conductor': {'shelved_offload_time': 0}}

    def test_to_the_other_host(self):
        uuid, host = self.boot()
        first = self.rig.wait_for_count(host, uuid)
        self.user.act(uuid, 'shelve')
        self.user.wait(uuid, 'SHELVED_OFFLOADED', 120)
        self.assertEqual([], self.rig.hosts_running(uuid))
        self.assertEqual([], self.rig.guest_directories()[host])
        other = self.other(host)
        service = {'host': host, 'binary': 'nova-compute'}
        self.user.request('PUT', '/os-services/disable', service)
        self.user.act(uuid, 'unshelve')
        self.user.wait(uuid, 'ACTIVE', 120)
        self.assertEqual(other, self.user.host(uuid))
        count = self.rig.wait_for_count(other, uuid)
        # The token that the guest wrote to its disk before.
        self.assertEqual(first.disk, count.disk)
        self.assertNotEqual(first.memory, count.memory)
        self.assert_runs_once(uuid, other)
        # It can move on.
        self.user.request('PUT', '/os-services/enable', service)
        back = self.live_migrate(uuid)
        moved = self.rig.wait_for_count(back, uuid)
        self.assertEqual((count.boot, count.disk), (moved.boot, moved.disk))
        self.user.delete(uuid)
        self.assert_nothing_left()
