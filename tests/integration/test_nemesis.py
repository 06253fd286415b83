# SPDX-License-Identifier: Apache-2.0
"""The laws hold when everything is broken at random, for a short while.

A longer while is ``python -m tests.integration.nemesis``.
"""

import os

from tests import base
from tests.fixtures.rig_trial import RigTrial
from tests.fixtures.trial import Trial


class NemesisTest(base.TestCase):
    """Two apis, two conductors, three computes, four users, one nemesis."""

    time_limit = 400
    trial = Trial
    span = 45

    def _run(self, database):
        # Another one each time; a failure names it.
        seed = os.environ.get('MINOVA_SEED') or os.urandom(4).hex()
        trial = self.useFixture(self.trial(seed, database))
        breaches = trial.round(self.span)
        if breaches:
            self.fail(trial.report(breaches))
        # Or nothing was tried.
        self.assertGreater(len(trial.club.accepted), 5)
        self.assertGreater(len(trial.nemesis.diary.entries), 10)
        return trial

    def test_mariadb(self):
        self._run('mariadb')

    def test_postgresql(self):
        self._run('postgresql')


class QemuNemesisTest(NemesisTest):
    """One api less a compute: two real hosts, where guests are slow."""

    time_limit = 600
    trial = RigTrial
    span = 75

    def test_mariadb(self):
        trial = self._run('mariadb')
        for witness in ('libvirt', 'consoles'):
            self.assertGreater(trial.watcher.looks[witness], 100)

    # One is enough: what differs is the hosts.
    test_postgresql = None
