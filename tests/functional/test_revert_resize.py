# SPDX-License-Identifier: Apache-2.0
"""Revert of a resize."""

from minova import states
from tests.functional import base


class RevertResizeTest(base.FlowTestCase):
    """The source restores the old guest."""

    def test_revert(self):
        uuid, source, dest, _ = self.booted()
        host = self.cloud.instance(uuid).host
        before = self.cloud.world.get_disks(host, uuid)
        big = self.cloud.flavor('big', id=2, memory_mb=1024, root_gb=5)
        self.cloud.resize(uuid, big)
        since = self.count(uuid)
        self.cloud.revert(uuid)
        self.assert_emitted(
            f"""
            update(None>resize_reverting) [api.api]
            exists [{dest}]
            resize.revert.start [{source}]
            update(resize_reverting>None) resized>active [{source}]
            resize.revert.end [{source}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual(host, instance.host)
        self.assertEqual('small', instance.flavor.name)
        self.assertEqual(before, self.cloud.world.get_disks(host, uuid))
        self.assertEqual([host], self.cloud.world.running(uuid))
        self.assertEqual({(host, True): 1}, self.cloud.allocations(uuid))
        other = dest.removeprefix('compute.')
        self.assertIsNone(self.cloud.world.guest(other, uuid))
        self.assertIsNone(self.cloud.world.get_disks(other, uuid))

    def test_revert_of_a_stopped_one(self):
        uuid, _, _, _ = self.booted()
        self.cloud.begin('stop', uuid)
        self.cloud.begin('migrate', uuid)
        self.cloud.revert(uuid)
        self.assert_ended(uuid, states.STOPPED)
        self.assertEqual([], self.cloud.world.running(uuid))
