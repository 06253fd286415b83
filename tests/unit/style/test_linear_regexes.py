# SPDX-License-Identifier: Apache-2.0
"""Every regular expression of the product takes time linear in the text.

Python's engine backtracks and holds the interpreter meanwhile, so one slow
expression stops a whole process. The test finds the expressions in the sources
and in the schemas, and searches each in texts that repeat its own characters.
"""

import ast
import dataclasses
import re
import time

from minova.api import app
from minova.api.resources import server_actions
from minova.extra_specs import table
from minova.extra_specs import value_types
from minova.images import attributes
from tests import base
from tests.unit.style import test_layers

#: The lengths of the texts. A quadratic expression needs more than a second
#: for the last, a cubic one for the first, a linear one less than 10 ms.
_LENGTHS = (1000, 20000)
_SECONDS = 0.3
_FUNCTIONS = {
    'compile',
    'search',
    'match',
    'fullmatch',
    'sub',
    'split',
    'findall',
    'finditer',
}


def expressions_in_sources():
    """Give the literal expressions in calls of ``re``, with their places."""
    for path in test_layers.sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in _FUNCTIONS
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == 're'
                and isinstance(node.args[0], ast.Constant)
            ):
                yield f'{path}:{node.lineno}', node.args[0].value


def expressions_in_schema(schema):
    """Give every ``pattern`` and pattern of a property."""
    if isinstance(schema, list):
        for one in schema:
            yield from expressions_in_schema(one)
    if isinstance(schema, dict):
        if isinstance(schema.get('pattern'), str):
            yield schema['pattern']
        yield from schema.get('patternProperties', {})
        for one in schema.values():
            yield from expressions_in_schema(one)


def expressions():
    """Give every expression of the product, with its place."""
    yield from expressions_in_sources()
    bodies = [
        (route.path, route.body) for route in app.ROUTES if route.body
    ] + [(name, one.body) for name, one in server_actions.ACTIONS.items()]
    for name, body in bodies:
        for schema in body.schemas.values() if body else ():
            for pattern in expressions_in_schema(schema):
                yield name, pattern
    for pattern in expressions_in_schema(attributes.ATTRIBUTES):
        yield 'image', pattern
    for name in dir(table):
        for found in find_texts(getattr(table, name)):
            yield f'extra spec {name}', found.pattern


def find_texts(value):
    """Give the Text types in a table of extra specs."""
    if isinstance(value, value_types.Text):
        yield value
    elif isinstance(value, tuple | list):
        for one in value:
            yield from find_texts(one)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for name in value.__dataclass_fields__:
            yield from find_texts(getattr(value, name))


def hostile_texts(pattern):
    """Give texts that repeat what an expression accepts, and end wrongly."""
    is_bytes = isinstance(pattern, bytes)
    known = pattern.decode('latin-1') if is_bytes else pattern
    characters = {' ', '\t', 'a', 'Z', '0', '"', '-', '=', *known}
    for length in _LENGTHS:
        for one in sorted(characters):
            for text in (one * length + '\0', 'a0-' + one * length + '!'):
                yield text.encode('utf-8') if is_bytes else text


def slowest(pattern):
    """Return the seconds for the worst text, and the text's beginning.

    The first text that takes too long is the worst.
    """
    compiled = re.compile(pattern)
    worst = (0.0, '')
    for text in hostile_texts(pattern):
        for function in (compiled.search, compiled.fullmatch):
            began = time.process_time()
            function(text)
            worst = max(worst, (time.process_time() - began, text[:8]))
            if worst[0] > _SECONDS:
                return worst
    return worst


class LinearRegexesTest(base.TestCase):
    """No expression backtracks."""

    def test_linear(self):
        found = {}
        for place, pattern in expressions():
            found.setdefault(pattern, place)
        self.assertGreater(len(found), 40)
        slow = [
            (place, pattern, *worst)
            for pattern, place in found.items()
            if (worst := slowest(pattern))[0] > _SECONDS
        ]
        self.assertEqual([], slow)

    def test_quadratic_expression_is_found(self):
        for pattern in (r'^[A-Za-z0-9+/\s]*={0,2}\s*\Z', r'\s+x'):
            self.assertGreater(slowest(pattern)[0], _SECONDS, pattern)
