# SPDX-License-Identifier: Apache-2.0
"""RPC methods above the pinned release are refused."""

from minova import exception
from minova import states
from tests.fixtures.newer_methods import NewerMethods
from tests.functional import base


class PinnedReleaseTest(base.FlowTestCase):
    """Computes of the previous release get no newer methods."""

    hosts = ('a',)

    def test_newer_methods_are_refused(self):
        uuid, _, _, since = self.booted()
        self.useFixture(NewerMethods('suspend_instance', 'rescue_instance'))
        self.config(group='upgrade_levels', compute='1.0')
        for kind in ('suspend', 'rescue'):
            error = self.assertRaises(
                exception.Conflict, self.cloud.begin, kind, uuid
            )
            self.assertIn('Remove the pin', str(error))
            self.assertIn(f'{kind}_instance came with 1.1', str(error))
        self.assertEqual(since, self.count(uuid))
        self.assertIsNone(self.cloud.instance(uuid).task_state)
        self.cloud.begin('pause', uuid)
        self.assert_ended(uuid, states.PAUSED)
