# SPDX-License-Identifier: Apache-2.0
"""A crash at a point that campaigns skip does what the one before it does."""

import itertools
import random

from minova.simulation import explore
from minova.simulation.faults import Fault
from minova.simulation.runs import Simulator
from minova.simulation.scenarios import SCENARIOS
from tests import base

#: The scenarios of the sample, and the pairs of points of each.
_SCENARIOS = 12
_PAIRS = 2


class EquivalentPointsTest(base.TestCase):
    """A sample of the pairs, with the results of both runs."""

    def crash(self, simulator, scenario, point):
        """Return what a run with a crash at a point has led to."""
        crash = Fault(point.number, 'crash', None, explore.RESTART_SOON)
        run = simulator.run(scenario, 0, [crash])
        violations = run.violations + simulator.diff_from_baseline(run)
        # The order of unrelated events after the crash is another one.
        return sorted(run.outcomes), run.rejected_requests, violations

    def test_sample(self):
        simulator, draw = Simulator(), random.Random(0)
        compared = 0
        for name in draw.sample(sorted(SCENARIOS), _SCENARIOS):
            scenario = SCENARIOS[name]
            points = simulator.baseline(scenario, 0).points
            pairs = [
                (first, second)
                for first, second in itertools.pairwise(points)
                if not explore.is_routine(second)
                and explore.is_equivalent(second, first)
            ]
            for first, second in draw.sample(pairs, min(_PAIRS, len(pairs))):
                self.assertEqual(
                    self.crash(simulator, scenario, first),
                    self.crash(simulator, scenario, second),
                    f'{name}: {first} and {second}',
                )
                compared += 1
        self.assertGreater(compared, _SCENARIOS)

    def test_skipped(self):
        simulator = Simulator()
        counts = [
            len(list(explore.CAMPAIGNS[name](simulator, SCENARIOS['stop'], 0)))
            for name in ('crash', 'crash-each')
        ]
        self.assertLess(counts[0], counts[1])
        self.assertGreater(counts[0], counts[1] // 2)
