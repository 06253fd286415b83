# SPDX-License-Identifier: Apache-2.0
"""The laws hold when everything is broken at random, for a short while.

A longer while is ``python -m tests.integration.nemesis``.
"""

import os

from tests import base
from tests.integration import nemesis

#: Seconds of mischief.
_SPAN = 45


class NemesisTest(base.TestCase):
    """Two apis, two conductors, three computes, four users, one nemesis."""

    time_limit = 400

    def _run(self, database):
        # Another one each time; a failure names it.
        seed = os.environ.get('MINOVA_SEED') or os.urandom(4).hex()
        trial = self.useFixture(nemesis.Trial(seed, database))
        breaches = trial.round(_SPAN)
        if breaches:
            self.fail(trial.report(breaches))
        # Or nothing was tried.
        self.assertGreater(len(trial.club.accepted), 5)
        self.assertGreater(len(trial.nemesis.diary.entries), 10)

    def test_mariadb(self):
        self._run('mariadb')

    def test_postgresql(self):
        self._run('postgresql')
