# SPDX-License-Identifier: Apache-2.0
"""Each mutant is detected by its campaigns."""

import functools

from minova.simulation import explore
from minova.simulation.mutants import MUTANTS
from minova.simulation.runs import Simulator
from minova.simulation.scenarios import SCENARIOS
from tests import base


@functools.cache
def _simulator():
    """Return the simulator of all tests; its runs begin from equal clouds."""
    return Simulator()


class MutantsTest(base.TestCase):
    """One test for each mutant."""

    def kill_mutant(self, mutant):
        simulator = _simulator()
        found = explore.kill_mutant(simulator, mutant)
        self.assertIsNotNone(
            found, f'{mutant.name} ({mutant.description}) survives'
        )
        # The patches are reverted.
        for name in mutant.scenarios:
            run = simulator.run(SCENARIOS[name])
            self.assertEqual([], run.violations)


def _add(mutant):
    def test(self):
        self.kill_mutant(mutant)

    name = f'test_{mutant.name.replace("-", "_")}'
    setattr(MutantsTest, name, test)


for each in MUTANTS:
    _add(each)
