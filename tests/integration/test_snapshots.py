# SPDX-License-Identifier: Apache-2.0
"""Snapshots of real guests, and guests that boot from them."""

from tests.fixtures.user import User
from tests.integration.qemu import QemuTestCase


class SnapshotTest(QemuTestCase):
    """The image of a guest has what the guest wrote to its disk."""

    def snapshot(self, uuid):
        """Take a snapshot of a server; return the image."""
        newer = User(self.user.url, 'admin:admin', '2.45')
        path = f'/servers/{uuid}/action'
        body = {'createImage': {'name': 'copy'}}
        reply = newer.request('POST', path, body)
        image_id = reply['image_id']
        self.wait_for(
            lambda: self.user.get_image(image_id)['status'] == 'active'
        )
        self.wait_for(
            lambda: self.user.show(uuid)['OS-EXT-STS:task_state'] is None
        )
        shown = self.user.get_image(image_id)
        self.assertEqual('qcow2', shown['disk_format'])
        self.assertEqual(1 << 30, shown['virtual_size'])
        return shown

    def boot_from(self, image):
        """Boot a server from an image; return its first count."""
        self.user.use_image(image['id'])
        uuid = self.user.boot()
        return uuid, self.rig.wait_for_count(self.user.host(uuid), uuid)

    def test_running_and_stopped_guest(self):
        uuid, host = self.boot()
        first = self.rig.wait_for_count(host, uuid)
        image = self.snapshot(uuid)
        # The guest has run on.
        later = self.rig.wait_for_count(host, uuid)
        self.assertEqual(
            (first.boot, first.memory), (later.boot, later.memory)
        )
        copy, count = self.boot_from(image)
        self.assertEqual(first.disk, count.disk)
        self.assertNotEqual(first.memory, count.memory)
        self.user.delete(copy)
        self.user.act(uuid, 'pause')
        self.user.wait(uuid, 'PAUSED')
        paused = self.snapshot(uuid)
        self.user.act(uuid, 'unpause')
        self.user.wait(uuid, 'ACTIVE')
        self.user.act(uuid, 'os-stop')
        self.user.wait(uuid, 'SHUTOFF')
        stopped = self.snapshot(uuid)
        self.user.wait(uuid, 'SHUTOFF')
        for image in (paused, stopped):
            copy, count = self.boot_from(image)
            self.assertEqual(first.disk, count.disk)
            self.user.delete(copy)
        self.user.delete(uuid)
        self.assert_nothing_left()
