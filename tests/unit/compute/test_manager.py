# SPDX-License-Identifier: Apache-2.0
"""The server of the compute's RPC interface."""

from minova.compute.manager import ComputeManager
from minova.context import Context
from minova.flows import interfaces
from minova.rpc import compute
from minova.rpc import contract
from tests import base
from tests.fixtures import senders


class Runner:
    """Records the steps that it gets."""

    def __init__(self):
        self.woken = []
        self.nested = []

    def wake(self, context, step, method):
        self.woken.append((step, method))

    def run_nested(self, context, step):
        self.nested.append(step)
        return {'done': step}


class StepsTest(base.TestCase):
    """The methods of steps."""

    def setUp(self):
        super().setUp()
        self.runner = Runner()
        self.manager = ComputeManager('a', None, self.runner, None, 'i1', None)
        self.dispatcher = contract.Dispatcher(
            interfaces.COMPUTE,
            self.manager,
            senders.AcceptAll(),
            'a',
            handle_step=self.manager.handle_step,
        )

    def dispatch(self, method, **arguments):
        return self.dispatcher.dispatch(method, Context().to_dict(), arguments)

    def test_a_cast_starts_the_step(self):
        for name, method in interfaces.COMPUTE.steps.items():
            if not method.reply:
                self.assertIsNone(self.dispatch(name, step=name))
                self.assertEqual((name, name), self.runner.woken.pop())
        self.assertEqual([], self.runner.nested)

    def test_a_call_returns_the_result_of_the_step(self):
        self.assertEqual(
            {'result': {'done': 's1'}},
            self.dispatch('pre_live_migration', step='s1'),
        )
        self.assertEqual(['s1'], self.runner.nested)
        self.assertEqual([], self.runner.woken)

    def test_no_step_has_a_method_of_the_manager(self):
        for name in interfaces.COMPUTE.steps:
            self.assertFalse(hasattr(ComputeManager, name), name)

    def test_other_methods_go_to_the_manager(self):
        self.assertEqual({'result': 'i1'}, self.dispatch('ping'))
        self.assertNotIn('ping', interfaces.COMPUTE.steps)
        self.assertIn('ping', compute.INTERFACE.methods())
