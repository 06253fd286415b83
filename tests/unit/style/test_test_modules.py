# SPDX-License-Identifier: Apache-2.0
"""A test module is named as what it tests.

``tests/unit/PACKAGE/test_MODULE.py`` tests ``minova/PACKAGE/MODULE.py``; a
suffix, as in ``test_MODULE_crashes.py``, names the aspect if a module has
several test modules. ``test_PACKAGE.py`` tests a package as a whole. Each
module of ``minova/flows`` with flows has one functional test module.
"""

import pathlib

from minova import flows
from tests import base
from tests.unit.style.test_layers import ROOT

_TESTS = pathlib.Path(base.__file__).parent
_UNIT = _TESTS / 'unit'
#: Test modules about something that is no module of the product.
_OTHER = {
    'doc/test_advisories.py': 'doc/source/admin/advisories.rst',
    'doc/test_pages.py': 'the pages of the documentation',
    'objects/test_versions.py': 'the fingerprints of all objects',
    'test_devstack.py': 'devstack/',
    'tools/test_install.py': 'tools/install.sh',
    'test_pre_commit.py': '.pre-commit-config.yaml',
    'test_samples.py': 'etc/',
    'test_systemd_units.py': 'etc/systemd/',
}
#: Where the modules are that a package of tests is about, if not in minova.
_ROOTS = {
    'doc': ROOT.parent / 'doc',
    'fixtures': _TESTS,
    'fuzz': _TESTS,
    'tools': ROOT.parent,
}


def is_named_as_module(test):
    """Tell whether a test module has the name of what it tests."""
    where = test.parent.relative_to(_UNIT)
    name = test.stem.removeprefix('test_')
    if where.parts[:1] == ('doc',):
        return bool([*_ROOTS['doc'].rglob(f'{name}.py')])
    directory = _ROOTS.get(where.name, ROOT) / where
    if name == where.name and directory.is_dir():
        return True
    words = name.split('_')
    stems = ('_'.join(words[:n]) for n in range(len(words), 0, -1))
    return any(
        (directory / f'{stem}.py').is_file()
        or (directory / stem / '__init__.py').is_file()
        for stem in stems
    )


class TestModulesTest(base.TestCase):
    """Who knows a module or a flow finds its tests."""

    def test_unit(self):
        wrong = [
            name
            for path in sorted(_UNIT.rglob('test_*.py'))
            if 'style' not in path.parts
            and not is_named_as_module(path)
            and (name := path.relative_to(_UNIT).as_posix()) not in _OTHER
        ]
        self.assertEqual([], wrong)

    def test_functional(self):
        modules = {
            type(flow).__module__.rpartition('.')[2]
            for flow in flows.FLOWS.values()
        }
        missing = {
            name
            for name in modules
            if not (_TESTS / 'functional' / f'test_{name}.py').is_file()
        }
        self.assertEqual(set(), missing)

    def test_exceptions_exist(self):
        self.assertEqual([], [n for n in _OTHER if not (_UNIT / n).is_file()])
