# SPDX-License-Identifier: Apache-2.0
"""The proof is proved: every fault that is planted in our code is found."""

from minova.simulation import explore
from minova.simulation.mutants import MUTANTS
from minova.simulation.runs import Simulator
from minova.simulation.scenarios import SCENARIOS
from tests import base


class MutantsTest(base.TestCase):
    """One test for each."""

    def _require_no_threads(self, before):
        """Threads that carry tasks are kept for the next simulation."""

    def kill_mutant(self, fault):
        simulator = Simulator()
        found = explore.kill_mutant(simulator, fault)
        self.assertIsNotNone(
            found, f'{fault.name} ({fault.what}) is not found'
        )
        # It was taken out again.
        for name in fault.scenarios:
            run = simulator.run(SCENARIOS[name])
            self.assertEqual([], run.violations)


def _add(fault):
    def test(self):
        self.find(fault)

    name = f'test_{fault.name.replace("-", "_")}'
    setattr(MutantsTest, name, test)


for each in MUTANTS:
    _add(each)
