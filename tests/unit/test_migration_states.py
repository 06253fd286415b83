# SPDX-License-Identifier: Apache-2.0
"""The status table of migrations: every pair of statuses is tried."""

import ast
import itertools
import pathlib

from hypothesis import given
from hypothesis import strategies

from minova import migration_states
from minova.migration_states import check_transition
from minova.migration_states import IllegalTransition
from minova.migration_states import TABLE
from tests import base

ROOT = pathlib.Path(base.minova.__file__).parent

#: The transitions as Nova's documentation and code have them; a mistake in
#: the table fails against this list.
LEGAL = {
    ('queued', 'preparing'),
    ('preparing', 'running'),
    # Another destination, after the first one could not prepare.
    ('preparing', 'queued'),
    ('running', 'completed'),
    ('pre-migrating', 'migrating'),
    ('migrating', 'post-migrating'),
    ('post-migrating', 'finished'),
    ('finished', 'confirming'),
    ('confirming', 'confirmed'),
    # A delete confirms.
    ('finished', 'confirmed'),
    ('finished', 'reverting'),
    ('reverting', 'reverted'),
    # The hypervisor of the destination did not answer.
    ('reverting', 'finished'),
    ('accepted', 'pre-migrating'),
    # Another destination, after the first one failed.
    ('pre-migrating', 'accepted'),
    ('pre-migrating', 'done'),
}
_COLD = {
    *('pre-migrating', 'migrating', 'post-migrating', 'finished'),
    *('confirming', 'confirmed', 'reverting', 'reverted'),
}
#: The statuses that each kind passes.
PASSES = {
    'resize': _COLD | {'cancelled', 'error'},
    'migration': _COLD | {'cancelled', 'error'},
    'live-migration': {
        *('queued', 'preparing', 'running', 'completed'),
        *('cancelled', 'error'),
    },
    'evacuation': {
        *('accepted', 'pre-migrating', 'done', 'cancelled', 'error'),
    },
}
#: What an abort or a delete may end; a confirmation owns nothing that a
#: delete could preempt.
CANCELLABLE = {
    'accepted',
    'queued',
    'preparing',
    'running',
    'pre-migrating',
    'migrating',
    'post-migrating',
    'reverting',
}
FINAL = {'completed', 'done', 'confirmed', 'reverted', 'cancelled', 'error'}

statuses = strategies.sampled_from(sorted(TABLE))


def is_legal(kind, status, new_status):
    """Return what the table must answer."""
    if not {status, new_status} <= PASSES[kind]:
        return False
    if status == new_status:
        return True
    if status in FINAL:
        return False
    if new_status == 'error':
        return True
    if new_status == 'cancelled':
        return status in CANCELLABLE
    return (status, new_status) in LEGAL


class TableTest(base.TestCase):
    """The rows are whole."""

    def test_rows(self):
        for row in TABLE.values():
            self.assertEqual(set(), set(row.next_statuses) - set(TABLE))
            self.assertTrue(row.kinds and row.meaning, row.name)
            for following in row.next_statuses:
                kinds = set(row.kinds) & set(TABLE[following].kinds)
                self.assertTrue(kinds, (row.name, following))

    def test_groups(self):
        self.assertEqual(FINAL, set(migration_states.FINAL))
        self.assertEqual(set(TABLE) - FINAL, set(migration_states.UNFINISHED))
        self.assertEqual(
            ('queued', 'preparing', 'running'),
            migration_states.LIVE_IN_PROGRESS,
        )

    def test_initial_status(self):
        for kind, status in (
            ('resize', 'pre-migrating'),
            ('migration', 'pre-migrating'),
            ('live-migration', 'queued'),
            ('evacuation', 'accepted'),
        ):
            self.assertEqual(status, migration_states.initial_status(kind))

    def test_every_status_is_reached(self):
        for kind, passed in PASSES.items():
            reached = {migration_states.initial_status(kind)}
            for status in itertools.chain(list(TABLE) * len(TABLE)):
                if status in reached:
                    reached |= {
                        following
                        for following in TABLE[status].next_statuses
                        if kind in TABLE[following].kinds
                    }
            self.assertEqual(passed, reached)


class TransitionTest(base.TestCase):
    """Which status may become which."""

    def test_every_pair(self):
        pairs = itertools.product(TABLE, repeat=2)
        for kind, (status, new_status) in itertools.product(PASSES, pairs):
            if is_legal(kind, status, new_status):
                check_transition(kind, status, new_status)
            else:
                error = self.assertRaises(
                    IllegalTransition,
                    check_transition,
                    kind,
                    status,
                    new_status,
                )
                self.assertEqual(
                    f'A migration ({kind}) in status {status} cannot become '
                    f'{new_status}',
                    str(error),
                )

    def test_unknown_status(self):
        for status, new_status in (
            ('migrating', 'failed'),
            ('failed', 'error'),
            ('failed', 'failed'),
        ):
            self.assertRaises(
                IllegalTransition,
                check_transition,
                'resize',
                status,
                new_status,
            )

    @given(strategies.lists(statuses, max_size=30))
    def test_final_status_stays(self, wanted):
        for kind in PASSES:
            status = migration_states.initial_status(kind)
            ended = None
            for new_status in wanted:
                try:
                    check_transition(kind, status, new_status)
                except IllegalTransition:
                    continue
                status = new_status
                self.assertIn(kind, TABLE[status].kinds)
                self.assertIn(ended, (None, status))
                if TABLE[status].is_final:
                    ended = status


class OneDoorTest(base.TestCase):
    """One module writes a status, and it asks the table."""

    DOOR = 'engine/migration_records.py'
    #: Their ``status`` is that of an HTTP response, as that of ``resp``.
    HTTP = ('api', 'identity', 'images')

    def nodes(self, kind):
        """Return the nodes of a kind in the product, each with its file."""
        for path in ROOT.rglob('*.py'):
            relative = path.relative_to(ROOT)
            if relative.parts[0] not in self.HTTP:
                for node in ast.walk(ast.parse(path.read_text())):
                    if isinstance(node, kind):
                        yield str(relative), node

    def test_update_status_is_called_in_one_module(self):
        callers = {
            path
            for path, node in self.nodes(ast.Attribute)
            if node.attr == 'update_status'
        }
        self.assertEqual({self.DOOR}, callers)

    def test_status_is_assigned_in_one_module(self):
        writers = {
            path
            for path, node in self.nodes(ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Attribute)
            and target.attr == 'status'
            and ast.unparse(target.value) not in ('self', 'resp')
        }
        self.assertEqual({self.DOOR}, writers)
