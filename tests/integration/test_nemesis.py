# SPDX-License-Identifier: Apache-2.0
"""The invariants hold under random faults, in a short run.

``python -m tests.integration.nemesis`` runs longer.
"""

import os

from tests import base
from tests.fixtures.chaos_cloud import ChaosCloud
from tests.fixtures.rig_chaos_cloud import RigChaosCloud


class NemesisTest(base.TestCase):
    """Two API services, two conductors, three computes, four clients."""

    time_limit = 400
    cloud_class = ChaosCloud
    span = 45

    def _run(self, database):
        # A new seed each time; a failure prints it.
        seed = os.environ.get('MINOVA_SEED') or os.urandom(4).hex()
        cloud = self.useFixture(self.cloud_class(seed, database))
        violations = cloud.run_round(self.span)
        if violations:
            self.fail(cloud.report(violations))
        # The clients and the nemesis were active.
        self.assertGreater(len(cloud.client_pool.accepted), 5)
        self.assertGreater(len(cloud.nemesis.event_log.entries), 10)
        return cloud

    def test_mariadb(self):
        self._run('mariadb')

    def test_postgresql(self):
        self._run('postgresql')


class QemuNemesisTest(NemesisTest):
    """Two real hosts, where guests are slow."""

    time_limit = 600
    cloud_class = RigChaosCloud
    span = 75

    def test_mariadb(self):
        cloud = self._run('mariadb')
        for witness in ('libvirt', 'consoles'):
            self.assertGreater(cloud.watcher.samples[witness], 100)

    # One test is enough: only the hosts differ.
    test_postgresql = None
