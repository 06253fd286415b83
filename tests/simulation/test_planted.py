# SPDX-License-Identifier: Apache-2.0
"""The proof is proved: every fault that is planted in our code is found."""

from minova.simulation import explore
from minova.simulation.planted import PLANTED
from minova.simulation.runs import Rig
from minova.simulation.scenarios import SCENARIOS
from tests import base


class PlantedTest(base.TestCase):
    """One test for each."""

    time_limit = 300

    def _require_no_threads(self, before):
        """Threads that carry tasks are kept for the next simulation."""

    def find(self, fault):
        rig = Rig()
        found = explore.find(rig, fault)
        self.assertIsNotNone(
            found, f'{fault.name} ({fault.what}) is not found'
        )
        # It was taken out again.
        for name in fault.scenarios:
            run = rig.run(SCENARIOS[name])
            self.assertEqual([], run.violations)


def _add(fault):
    def test(self):
        self.find(fault)

    name = f'test_{fault.name.replace("-", "_")}'
    setattr(PlantedTest, name, test)


for each in PLANTED:
    _add(each)
