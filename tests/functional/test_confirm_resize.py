# SPDX-License-Identifier: Apache-2.0
"""Confirm of a resize."""

from minova import states
from tests.functional import base


class ConfirmResizeTest(base.FlowTestCase):
    """The source removes the old guest."""

    def test_confirm(self):
        uuid, source, _, _ = self.resized()
        since = self.count(uuid)
        migration = self.cloud.unconfirmed_migration(uuid)
        self.cloud.confirm(uuid)
        self.assert_emitted(
            f"""
            update(None>None) resized>active [api.api]
            resize.confirm.start [{source}]
            resize.confirm.end [{source}]
            """,
            uuid,
            since,
        )
        self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual(
            {(migration.dest_host, True): 1}, self.cloud.allocations(uuid)
        )
        self.assertIsNone(self.cloud.world.guest(migration.source_host, uuid))
        self.assertIsNone(
            self.cloud.world.get_disks(
                migration.source_host, uuid, retained=True
            )
        )
        self.assertEqual([migration.dest_host], self.cloud.world.running(uuid))
