# SPDX-License-Identifier: Apache-2.0
"""The flows are complete and match the tables of their docstrings."""

import inspect
import re

from minova import flows
from minova import states
from minova.flows import abort
from minova.flows import build
from minova.flows import confirm_resize
from minova.flows import delete
from minova.flows import force_complete
from minova.flows import lifecycle
from minova.flows import live_migration
from minova.flows import rebuild
from minova.flows import rescue
from minova.flows import resize
from minova.flows import revert_resize
from minova.flows.base import ComputeStep
from minova.flows.base import Flow
from minova.objects.operation_params import NoParams
from minova.objects.operation_params import OperationParams
from minova.objects.operation_params import PowerSyncParams
from tests import base

MODULES = (
    abort,
    build,
    confirm_resize,
    delete,
    force_complete,
    lifecycle,
    live_migration,
    rebuild,
    rescue,
    resize,
    revert_resize,
)


class FlowTableTest(base.TestCase):
    """The state table and the flows have the same operations."""

    def test_every_kind_has_a_flow(self):
        self.assertEqual(set(states.TABLE), set(flows.FLOWS))

    def test_params_classes(self):
        """Each kind has parameters of its own class, or none."""
        for kind, flow in flows.FLOWS.items():
            self.assertTrue(issubclass(flow.params_class, OperationParams))
            other = NoParams()
            if flow.params_class is NoParams:
                other = PowerSyncParams(vm_state='active', power_state=1)
            self.assertRaises(TypeError, flow.params_class.narrow, other)
            self.assertIn(kind, states.TABLE)

    def test_flows_name_their_pending_steps(self):
        """``steps`` has each step that a flow enqueues, calls or undoes."""
        for kind, flow in flows.FLOWS.items():
            for step in flow.steps:
                if not issubclass(step, ComputeStep):
                    continue
                for other in (*step.nested_steps, *filter(None, (step.undo,))):
                    self.assertIn(other, flow.steps, kind)

    def test_steps_that_undo_must_succeed(self):
        for flow in flows.FLOWS.values():
            for step in flow.steps:
                undo = getattr(step, 'undo', None)
                if undo is not None:
                    self.assertTrue(undo.retry_until_done, undo.method)

    def test_methods_are_named_after_their_classes(self):
        for flow in flows.FLOWS.values():
            for step in flow.steps:
                snake = re.sub(r'(?<!^)(?=[A-Z])', '_', step.__name__).lower()
                self.assertEqual(step.method, snake)

    def test_docstrings_list_the_steps(self):
        """Each module's table of steps matches its flows."""
        for module in MODULES:
            emitted = (module.__doc__ or '').replace('\\\n', '')
            emitted = re.sub(r'\s+', '', emitted)
            for _, flow in inspect.getmembers(module, inspect.isclass):
                if not issubclass(flow, Flow):
                    continue
                for step in flow.steps:
                    self.assertIn(step.method, emitted, module.__name__)
