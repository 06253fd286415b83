# SPDX-License-Identifier: Apache-2.0
"""Runs: repeatable, with every kind of fault; the commands."""

import contextlib
import io
import os
import subprocess
import sys
import tempfile

from minova import clock
from minova import states
from minova.cmd import simulate
from minova.simulation import explore
from minova.simulation import faults
from minova.simulation.cloud import HOSTS
from minova.simulation.explore import CAMPAIGNS
from minova.simulation.faults import Fault
from minova.simulation.forks import ChildError
from minova.simulation.mutants import MUTANTS
from minova.simulation.runs import Simulator
from minova.simulation.scenarios import SCENARIOS
from tests import base


class SimulationTestCase(base.TestCase):
    """Runs simulations."""

    def replay(self, *arguments, hash_seed='0'):
        """Run the command in a process of its own; return its output."""
        done = subprocess.run(
            [
                sys.executable,
                '-m',
                'minova.cmd.simulate',
                'replay',
                *arguments,
            ],
            env=os.environ | {'PYTHONHASHSEED': hash_seed},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual('', done.stderr)
        return done.returncode, done.stdout


class ReplayTest(SimulationTestCase):
    """A seed and faults determine a run."""

    def test_same_run_in_every_process(self):
        asked = ('resize', '--seed', '3', '--fault', '60:crash:2', '--all')
        code, first = self.replay(*asked, hash_seed='1')
        self.assertEqual(0, code)
        self.assertIn('<== 60:crash', first)
        self.assertIn('All invariants held.', first)
        self.assertEqual((0, first), self.replay(*asked, hash_seed='2'))

    def test_other_seed_changes_the_run(self):
        simulator = Simulator()
        scenario = SCENARIOS['live_migrate']
        first, again, other = (simulator.run(scenario, n) for n in (1, 1, 2))
        self.assertEqual(first.points, again.points)
        self.assertNotEqual(first.points, other.points)
        self.assertEqual(first.outcomes, other.outcomes)

    def test_forks_are_equal_to_whole_runs(self):
        simulator, scenario = Simulator(), SCENARIOS['pause']
        plans = [
            (Fault(point.number, kind),)
            for point in simulator.baseline(scenario, 0).points[::5]
            for kind in ('crash', 'drop')
        ]
        pair = (Fault(5, 'crash'), Fault(30, 'crash'))
        plans += [pair, plans[0], (Fault(9999, 'crash'),)]
        forked = simulator.run_each(scenario, 0, plans)
        self.assertEqual(plans, [run.faults for run in forked])
        for run in forked:
            whole = simulator.run(scenario, 0, run.faults)
            whole.points = whole.points[-1:]
            self.assertEqual(whole, run)

    def test_a_fork_that_fails(self):
        settle = Simulator._settle_and_check

        def check(simulator, cloud, run):
            found = settle(simulator, cloud, run)
            if run.faults:
                raise RuntimeError('the check fails')
            return found

        self.patch(Simulator, '_settle_and_check', check)
        plans = [(Fault(5, 'crash'),)]
        with tempfile.TemporaryFile('w+') as stderr:
            with contextlib.redirect_stderr(stderr):
                error = self.assertRaises(
                    ChildError,
                    Simulator().run_each,
                    SCENARIOS['pause'],
                    0,
                    plans,
                )
            stderr.seek(0)
            printed = stderr.read()
        self.assertIn('5:crash:2', str(error))
        self.assertIn('RuntimeError: the check fails', printed)

    def test_hours_pass_in_seconds(self):
        simulator = Simulator()
        began = clock.monotonic()
        run = simulator.run(
            SCENARIOS['stop'], 0, [Fault(20, 'database', None, 3600.0)]
        )
        self.assertEqual([], run.violations)
        self.assertGreater(run.seconds, 3600)
        self.assertLess(clock.monotonic() - began, 60)


class FaultsTest(SimulationTestCase):
    """Each kind of fault is injected, and the invariants hold."""

    def test_every_kind_of_fault(self):
        simulator = Simulator()
        for kind, (where, _) in faults.KINDS.items():
            of_images = kind.startswith('image')
            scenario = SCENARIOS['snapshot' if of_images else 'resize']
            points = simulator.baseline(scenario, 0).points
            usual = [point.what for point in points]
            at = next(
                point.number
                for point in points[32:]
                if point.kind in where
                and not explore.is_routine(point)
                and (kind != 'hypervisor' or point.process in HOSTS)
            )
            who = 'b' if kind == 'host_lost' else None
            run = simulator.run(scenario, 0, [Fault(at, kind, who, 20.0)])
            self.assertEqual([], run.violations, str(run))
            changed = usual != [point.what for point in run.points]
            self.assertEqual(kind != 'skew', changed, kind)

    def test_invalid_faults(self):
        for text, said in (
            ('x', 'is not POINT:FAULT'),
            ('7:flood', 'flood is not a fault; the faults are crash'),
            ('seven:crash', 'invalid literal'),
        ):
            error = self.assertRaises(ValueError, Fault.parse, text)
            self.assertIn(said, str(error))
        for text in ('7:crash:2', '7:crash a:0.5', '9:skew c0:-3600'):
            self.assertEqual(text, str(Fault.parse(text)))


class TableTest(base.TestCase):
    """The scenarios cover the state table."""

    def test_every_operation_of_the_state_table(self):
        self.assertEqual(
            set(states.TABLE), {s.kind for s in SCENARIOS.values()}
        )


class CommandTest(SimulationTestCase):
    """The output of minova-simulate."""

    def run_simulate(self, *arguments):
        """Run the command; return its exit code, stdout and stderr."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = simulate.main(list(arguments))
            except SystemExit as end:
                code = end.code
        return code, out.getvalue(), err.getvalue()

    def test_list(self):
        code, out, _ = self.run_simulate('list')
        self.assertEqual(0, code)
        self.assertIn('live_migrate', out)
        self.assertIn('a host is lost for good', out)

    def test_invalid_arguments(self):
        code, _, err = self.run_simulate(
            'replay', 'stop', '--fault', '3:flood'
        )
        self.assertEqual(2, code)
        self.assertIn('flood is not a fault', err)
        code, _, err = self.run_simulate('replay', 'juggle')
        self.assertEqual(2, code)
        self.assertIn("invalid choice: 'juggle'", err)

    def test_idle_hour(self):
        code, out, _ = self.run_simulate('idle', '--hours', '1')
        self.assertEqual(0, code, out)
        self.assertIn('1 hours were simulated in ', out)
        self.assertIn('All invariants held.', out)

    def test_random_walk(self):
        code, out, _ = self.run_simulate(
            'random', '--count', '4', '--workers', '1'
        )
        self.assertEqual(0, code, out)
        self.assertIn('4 schedules, 0 violated', out)


class MutantsTest(base.TestCase):
    """The table of mutants, without a run."""

    def test_every_patch_replaces_an_existing_attribute(self):
        missing = [
            (mutant.name, name)
            for mutant in MUTANTS
            for owner, name, _ in mutant.patches
            if name not in vars(owner)
        ]
        self.assertEqual([], missing)

    def test_every_campaign_and_scenario_exists(self):
        for mutant in MUTANTS:
            self.assertLessEqual(set(mutant.campaigns), set(CAMPAIGNS))
            self.assertLessEqual(set(mutant.scenarios), set(SCENARIOS))
