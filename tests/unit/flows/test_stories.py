# SPDX-License-Identifier: Apache-2.0
"""The stories: complete, and as their own docstrings tell them."""

import inspect
import re

from minova import flows
from minova import states
from minova.flows import build
from minova.flows import delete
from minova.flows import force_complete
from minova.flows import lifecycle
from minova.flows import live_migration
from minova.flows import rescue
from minova.flows import resize
from minova.flows.chain import HostStep
from minova.flows.chain import Story
from tests import base

MODULES = (
    build,
    delete,
    force_complete,
    lifecycle,
    live_migration,
    rescue,
    resize,
)


class StoriesTest(base.TestCase):
    """The state table and the stories are about the same operations."""

    def test_every_kind_has_a_story(self):
        self.assertEqual(set(states.TABLE), set(flows.STORIES))

    def test_every_story_names_the_steps_that_it_may_owe(self):
        """Whatever a story owes, calls or undoes stands in ``steps``."""
        for kind, story in flows.STORIES.items():
            for step in story.steps:
                if not issubclass(step, HostStep):
                    continue
                for other in (*step.calls, *filter(None, (step.undo,))):
                    self.assertIn(other, story.steps, kind)

    def test_steps_that_undo_must_succeed(self):
        for story in flows.STORIES.values():
            for step in story.steps:
                undo = getattr(step, 'undo', None)
                if undo is not None:
                    self.assertTrue(undo.insists, undo.method)

    def test_methods_are_named_after_their_classes(self):
        for story in flows.STORIES.values():
            for step in story.steps:
                snake = re.sub(r'(?<!^)(?=[A-Z])', '_', step.__name__).lower()
                self.assertEqual(step.method, snake)

    def test_docstrings_list_the_steps(self):
        """Each module's table of steps is what its stories say."""
        for module in MODULES:
            told = (module.__doc__ or '').replace('\\\n', '')
            told = re.sub(r'\s+', '', told)
            for _, story in inspect.getmembers(module, inspect.isclass):
                if not issubclass(story, Story):
                    continue
                for step in story.steps:
                    self.assertIn(step.method, told, module.__name__)
