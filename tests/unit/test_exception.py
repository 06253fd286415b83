# SPDX-License-Identifier: Apache-2.0
"""Errors: each is defined once and exported."""

import ast
import pathlib

from minova import exception
from minova.exception import serialization
from tests import base

#: The modules whose errors are Failed; those of the others are Refused.
FAILED = ('failed',)
#: The modules without errors of their own.
OTHERS = ('__init__', 'serialization')


def errors():
    """Return module and name of each defined error."""
    folder = pathlib.Path(exception.__file__).parent
    return [
        (path.stem, node.name)
        for path in sorted(folder.glob('*.py'))
        if path.stem not in OTHERS
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    ]


class ErrorsTest(base.TestCase):
    def test_names_are_unique(self):
        names = [name for _, name in errors()]
        self.assertEqual(sorted(set(names)), sorted(names))

    def test_all_are_exported(self):
        for module, name in errors():
            found = getattr(exception, name)
            self.assertEqual(f'minova.exception.{module}', found.__module__)

    def test_each_is_in_its_module(self):
        for module, name in errors():
            found = getattr(exception, name)
            if module != 'base':
                is_failed = module in FAILED
                self.assertIs(is_failed, issubclass(found, exception.Failed))
                self.assertIs(
                    not is_failed, issubclass(found, exception.Refused)
                )

    def test_each_is_serialized(self):
        for _, name in errors():
            sent = getattr(exception, name)('in its own words')
            got = serialization.decode(serialization.encode(sent))
            self.assertEqual(sent.wire_class or name, type(got).__name__)
            self.assertEqual('in its own words', str(got))
