# SPDX-License-Identifier: Apache-2.0
"""The page "Add an operation": its list is complete, its example works."""

import ast
import importlib
import itertools
import pathlib
import re
import textwrap

import minova
from minova import flows
from minova import policy
from minova import states
from minova.api.resources import server_actions
from minova.api.schemas import server_actions as schemas
from minova.db.queries import operations
from minova.flows import interfaces
from minova.flows import lifecycle
from minova.flows.base import ComputeStep
from minova.notifications import events
from minova.rpc import compute
from minova.simulation import explore
from minova.simulation import scenarios
from minova.simulation.runs import Simulator
from minova.virt import driver
from minova.virt.fake.driver import FakeDriver
from minova.virt.libvirt.guests import Guests
from tests import base as test_base
from tests.functional import base
from tests.functional.api import base as api_base

ROOT = pathlib.Path(minova.__file__).parent.parent
PAGE = ROOT / 'doc/source/contributor/add-an-operation.rst'

_ROW = re.compile(
    r'   \* - ``(?P<path>\S+)``( \*)?\n'
    r'     - .*\n(?:       .*\n)?'
    r'     - ``(?P<text>.*)``\n'
)
_BLOCK = re.compile(
    r'\.\. code-block:: python\n   :caption: (\S+)\n\n((?:   .*\n|\n)+)'
)
#: These name the operation resize for reasons that a new one does not share.
_OTHERS = {
    'minova/conductor/manager.py',  # migrate_server is a method of its own
    'minova/db/queries/quota_usage.py',  # the operations with two flavors
    'minova/simulation/explore.py',  # the campaign of pairs
    'minova/virt/libvirt/qemu/qcow2.py',  # qemu-img resize
}


def blocks():
    """Return the example's code by the path that the page gives it."""
    return {
        path: textwrap.dedent(code).strip()
        for path, code in _BLOCK.findall(PAGE.read_text())
    }


class ListTest(test_base.TestCase):
    """Each file of the list has what the list says, and none is missing."""

    def test_rows(self):
        rows = list(_ROW.finditer(PAGE.read_text()))
        listed = PAGE.read_text().count('   * - ``')
        self.assertEqual(listed, len(rows))
        for row in rows:
            text = (ROOT / row['path']).read_text()
            self.assertIn(row['text'], text, row['path'])

    def test_no_file_is_missing(self):
        listed = {row['path'] for row in _ROW.finditer(PAGE.read_text())}
        naming = {
            str(path.relative_to(ROOT))
            for path in (ROOT / 'minova').rglob('*.py')
            if re.search(r"'resize'", path.read_text())
        }
        self.assertEqual(set(), naming - listed - _OTHERS)

    def test_example_uses_listed_files(self):
        text = PAGE.read_text()
        for path in blocks():
            self.assertGreaterEqual(text.count(f'``{path}``'), 1, path)
            self.assertTrue((ROOT / path).exists(), path)


class _Example:
    """Adds the example of the page to the code, until the test ends."""

    def add_example(self):
        """Add every block of the page but the test."""
        self.code = blocks()
        rule = states._rule(*self.value('minova/states.py'))
        self.patch_item(states.TABLE, 'reset', rule)
        event = self.value('minova/notifications/events.py')
        self.patch(events, 'PHASED_EVENTS', events.PHASED_EVENTS | {event})
        classes = self.names('minova/flows/lifecycle.py')
        for name, made in classes.items():
            self.patch(lifecycle, name, made)
        for kind, flow in self.value('minova/flows/__init__.py').items():
            self.patch_item(flows.FLOWS, kind, flow)
            steps = {step.method: step() for step in flow.steps}
            self.patch_item(flows._STEPS, kind, steps)
        interface = self.names('minova/rpc/compute.py')['INTERFACE']
        self.patch(compute, 'INTERFACE', interface)
        steps = interfaces._methods(ComputeStep)
        self.patch(interfaces, 'COMPUTE', interface.with_steps(steps))
        self.add_methods()
        self.add_action()

    def add_methods(self):
        """Add the driver's method to the protocol and the drivers."""
        for path, owner in (
            ('minova/virt/driver/guests.py', driver.GuestInterface),
            ('minova/virt/fake/driver.py', FakeDriver),
            ('minova/virt/libvirt/guests.py', Guests),
        ):
            self.patch(owner, 'reset', self.names(path)['reset'])

    def add_action(self):
        """Add the action of the API."""
        made = self.names('minova/api/schemas/server_actions.py')['RESET']
        self.patch(schemas, 'RESET', made)
        path = 'minova/api/resources/server_actions.py'
        for name, action in self.value(path).items():
            self.patch_item(server_actions.ACTIONS, name, action)
        rule = self.value('minova/policy/compute.py')
        self.patch(policy, '_ROWS', (*policy._ROWS, rule))
        self.patch_item(policy.DEFAULTS, rule[0], rule[1])

    def patch(self, owner, name, value):
        """Set an attribute until the test ends."""
        if name in vars(owner):
            self.addCleanup(setattr, owner, name, vars(owner)[name])
        else:
            self.addCleanup(delattr, owner, name)
        setattr(owner, name, value)

    def patch_item(self, owner, key, value):
        """Add an item to a dictionary until the test ends."""
        self.assertNotIn(key, owner)
        owner[key] = value
        self.addCleanup(owner.pop, key)

    def module(self, path):
        """Return the names of the module in which a block stands."""
        name = path.removesuffix('.py').removesuffix('/__init__')
        return dict(vars(importlib.import_module(name.replace('/', '.'))))

    def value(self, path):
        """Return the value of a block that is an expression."""
        return eval(self.code[path], self.module(path))

    def names(self, path):
        """Return what a block of statements defines."""
        namespace = self.module(path)
        before = dict(namespace)
        exec(self.code[path], namespace)
        return {
            name: value
            for name, value in namespace.items()
            if before.get(name) is not value
        }


class CloudTest(_Example, base.FlowTestCase):
    """The example in a cloud."""

    def setUp(self):
        self.add_example()
        super().setUp()

    def test_documented_test(self):
        path = 'tests/functional/test_lifecycle.py'
        self.names(path)['test_reset'](self)

    def test_crash_on_the_host(self):
        uuid, *_ = self.booted(host='a')
        self.cloud.stop(self.cloud.computes['a'])
        begun = self.cloud.begin('reset', uuid, wait=False)
        self.cloud.start_compute('a')
        self.cloud.settle(uuid)
        self.assert_ended(uuid, states.ACTIVE)
        (step,) = self.cloud.read(operations.list_steps, begun.operation.id)
        self.assertEqual('reset_instance', step.method)

    def test_contract_of_the_example(self):
        method = interfaces.COMPUTE.steps['reset_instance']
        self.assertEqual(interfaces.COMPUTE.version, method.since)
        for path, code in self.code.items():
            ast.parse(code, path)


class ApiTest(_Example, api_base.ApiTestCase):
    """The example over HTTP."""

    hosts = ('a',)

    def setUp(self):
        self.add_example()
        super().setUp()
        self.make_flavor()

    def test_action(self):
        uuid = self.boot()
        reply = self.user.act(uuid, 'reset')
        self.assertEqual(202, reply.status, reply.body)
        self.cloud.settle(uuid)
        self.assertEqual('ACTIVE', self.show(uuid)['status'])
        self.user.act(uuid, 'os-stop')
        self.cloud.settle(uuid)
        reply = self.user.act(uuid, 'reset')
        self.assertEqual(409, reply.status)
        self.assertIn("Cannot 'reset' instance", reply.message)


class SimulationTest(_Example, test_base.TestCase):
    """The example under faults."""

    def setUp(self):
        super().setUp()
        self.add_example()
        name, kind, begins, *acts = self.value(
            'minova/simulation/scenarios.py'
        )
        self.scenario = scenarios.Scenario(
            name, kind, begins, scenarios.sequence(*acts)
        )
        self.patch_item(scenarios.SCENARIOS, name, self.scenario)

    def test_crashes(self):
        simulator = Simulator()
        make_plans = explore.CAMPAIGNS['crash-each']
        campaign = make_plans(simulator, self.scenario, 0)
        plans = list(itertools.islice(campaign, 0, None, 10))
        self.assertGreater(len(plans), 3)
        for plan in plans:
            run = simulator.run(self.scenario, plan.seed, plan.faults)
            self.assertEqual([], run.violations)
            self.assertEqual([], simulator.diff_from_baseline(run))

    def test_mutant(self):
        module = self.module('minova/simulation/mutants.py')
        code = self.code['minova/simulation/mutants.py']
        mutant = eval(code, module | {'lifecycle': lifecycle})
        self.assertIsNotNone(explore.kill_mutant(Simulator(), mutant))
