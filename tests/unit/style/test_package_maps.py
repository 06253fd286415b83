# SPDX-License-Identifier: Apache-2.0
"""The docstring of a package is its map: it names each module once.

A map is one or more simple tables of reStructuredText. The first column has
the name of a module, or of a package with a slash behind it. The docstring of
``minova`` is prose, because it follows a request; it names packages and
modules in double backticks.
"""

import ast
import collections
import re

from tests import base
from tests.unit.style.test_layers import ROOT

_BORDER = re.compile(r'=+(?: +=+)+')
#: A name in the prose of the root: ``api/`` or ``states.py``.
_LITERAL = re.compile(r'``(\w+)(?:/|\.py)``')


def packages():
    """Return the directory of each package."""
    return sorted(path.parent for path in ROOT.rglob('__init__.py'))


def contents(package):
    """Return the names of the modules and packages in a package."""
    modules = {
        path.stem for path in package.glob('*.py') if path.stem != '__init__'
    }
    return modules | {path.parent.name for path in package.glob('*/*.py')}


def docstring(package):
    """Return the docstring of a package."""
    source = (package / '__init__.py').read_text(encoding='utf-8')
    return ast.get_docstring(ast.parse(source)) or ''


def rows(text):
    """Yield the first column of each row of the tables in a docstring.

    A border line starts a table. A second border ends the header, or the
    table if it has no header; the table ends before an empty line.
    """
    table = []
    for line in (*text.splitlines(), ''):
        if table or _BORDER.fullmatch(line):
            table.append(line)
        if table and not line.strip():
            yield from _first_column(table[:-1])
            table = []


def _first_column(table):
    borders = [n for n, line in enumerate(table) if _BORDER.fullmatch(line)]
    width = table[0].index(' ')
    for line in table[borders[-2] + 1 : borders[-1]]:
        name = line[:width].strip()
        if name:
            yield name


def named(package):
    """Return how often the map of a package names each module."""
    text = docstring(package)
    if package == ROOT:
        return collections.Counter(set(_LITERAL.findall(text)))
    return collections.Counter(name.removesuffix('/') for name in rows(text))


class PackageMapsTest(base.TestCase):
    """A map is complete and has nothing else."""

    def test_each_module_is_named_once(self):
        wrong = []
        for package in packages():
            known, names = contents(package), named(package)
            where = package.relative_to(ROOT.parent)
            wrong += [f'{where}: no {n}' for n in sorted(known - set(names))]
            if package != ROOT:
                wrong += [f'{where}: {n}?' for n in sorted(set(names) - known)]
            wrong += [f'{where}: twice {n}' for n, k in names.items() if k > 1]
        self.assertEqual([], wrong, '\n'.join(wrong))


class RowsTest(base.TestCase):
    """The rows of a map are read as reStructuredText has them."""

    def test_with_and_without_a_header(self):
        text = (
            'A map.\n\n'
            '====== ====\nmodule what\n====== ====\none    1\n'
            '       more\ntwo/   2\n====== ====\n\n'
            'Prose.\n\n=== ===\na   1\nb   2\n=== ==='
        )
        self.assertEqual(['one', 'two/', 'a', 'b'], list(rows(text)))
