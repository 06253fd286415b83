# SPDX-License-Identifier: Apache-2.0
"""The table of advisories: each row has a verdict, each named test exists."""

import ast
import pathlib
import re

from tests import base

_ROOT = pathlib.Path(base.__file__).parents[1]
_PAGE = _ROOT / 'doc' / 'source' / 'admin' / 'advisories.rst'
_VERDICT = re.compile(r'\*\*(by test|by design|not applicable)\*\*')
_TEST = re.compile('``(tests[.][a-zA-Z0-9_.]+)``')


class AdvisoriesTest(base.TestCase):
    """doc/source/admin/advisories.rst."""

    def setUp(self):
        super().setUp()
        text = _PAGE.read_text()
        self.rows = [
            row
            for row in text.split('\n   * - ')[1:]
            if not row.startswith('Advisory\n')
        ]

    def test_every_row_has_a_verdict(self):
        for row in self.rows:
            (verdict,) = _VERDICT.findall(row)
            tests = _TEST.findall(row)
            self.assertEqual(verdict == 'by test', bool(tests), row)
            if verdict != 'by test':
                self.assertRegex(row, r'\*\*: \w', 'the reason is missing')

    def test_every_named_test_exists(self):
        named = {name for row in self.rows for name in _TEST.findall(row)}
        self.assertGreater(len(named), 25)
        self.assertEqual([], [one for one in sorted(named) if not _has(one)])

    def test_every_number_is_there_once(self):
        found = [
            number
            for row in self.rows
            for number in re.findall(r'OSSA-\d{4}-\d{3}', row)
        ]
        self.assertGreater(len(found), 60)
        self.assertEqual(len(found), len(set(found)), sorted(found))


def _has(name):
    """Tell whether a test method of this name is defined."""
    module, _, rest = name.rpartition('.')
    module, _, test_class = module.rpartition('.')
    path = _ROOT.joinpath(*module.split('.')).with_suffix('.py')
    if not path.is_file():
        return False
    return any(
        isinstance(node, ast.ClassDef)
        and node.name == test_class
        and any(
            isinstance(member, ast.FunctionDef) and member.name == rest
            for member in node.body
        )
        for node in ast.parse(path.read_text()).body
    )
