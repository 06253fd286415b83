# SPDX-License-Identifier: Apache-2.0
"""Validation of bodies, queries and patterns, and the error texts."""

import datetime

from minova import exception
from minova.api import app
from minova.api.http import microversion
from minova.api.resources import server_actions
from minova.api.schemas import bodies
from minova.api.schemas import patterns
from minova.api.schemas import queries
from minova.api.schemas import types
from tests import base


class BodyTest(base.TestCase):
    """Bodies."""

    def refusal(self, schema, content, version=1):
        schemas = schema if 1 in schema else {1: schema}
        error = self.assertRaises(
            exception.InvalidInput,
            bodies.BodySchema(schemas).validate,
            content,
            version,
        )
        return str(error)

    def test_keyword_messages(self):
        for schema, content, text in (
            ({'type': 'integer'}, 'x', 'must be of type integer'),
            ({'type': 'integer'}, 1.0, 'must be of type integer'),
            ({'type': 'integer'}, True, 'must be of type integer'),
            (
                {'type': ['string', 'null']},
                7,
                'must be of type string or null',
            ),
            ({'enum': ['a', None, True]}, 7, 'must be one of a, null, true'),
            ({'minimum': 3}, 2, 'must not be less than 3'),
            ({'exclusiveMinimum': 0}, 0, 'must be more than 0'),
            ({'maximum': 3}, 4, 'must not be more than 3'),
            ({'maxLength': 2}, 'abc', 'must not be longer than 2 characters'),
            ({'minLength': 1}, '', 'must not be empty'),
            ({'minLength': 2}, 'a', 'must have at least 2 characters'),
            ({'minItems': 2}, [1], 'must have at least 2 entries'),
            ({'maxItems': 1}, [1, 2], 'must not have more than 1 entries'),
            ({'uniqueItems': True}, [1, 1], 'must not contain duplicates'),
            ({'pattern': '^a'}, 'b', 'must match ^a'),
            ({'pattern': '^a', 'explain': 'an a'}, 'b', 'must be an a'),
            ({'required': ['a', 'b']}, {}, 'lacks a, b'),
        ):
            self.assertEqual(
                f'Invalid request body: {text}.', self.refusal(schema, content)
            )

    def test_place(self):
        schema = bodies.single_field(
            'a',
            {
                'type': 'array',
                'items': bodies.object_schema({'b': types.UUID}),
            },
        )
        self.assertEqual(
            'Invalid input for field/attribute a.1.b: must be a UUID.',
            self.refusal(schema, {'a': [{}, {'b': 'x'}]}),
        )

    def test_unknown_fields(self):
        old = bodies.single_field('a', bodies.object_schema({'b': {}}))
        new = bodies.single_field(
            'a', bodies.object_schema({'b': {}, 'c': {}})
        )
        text = "there is no field 'c' here; the fields are b."
        self.assertEqual(
            f'Invalid input for field/attribute a: {text} The field '
            'exists since microversion 2.7.',
            self.refusal({1: old, 7: new}, {'a': {'c': 1}}, 6),
        )
        self.assertEqual(
            f'Invalid input for field/attribute a: {text}',
            self.refusal({1: old, 7: old}, {'a': {'c': 1}}, 6),
        )
        bodies.BodySchema({1: old, 7: new}).validate({'a': {'c': 1}}, 7)

    def test_names_without_a_pattern(self):
        self.assertIn(
            "'ä' is not a valid name; it must match",
            self.refusal(types.METADATA, {'a': 'b', 'ä': 'c'}),
        )

    def test_formats(self):
        for schema, good, bad in (
            (types.IPV4, ('192.0.2.1', ''), ('1.2.3', '::1', '1.2.3.256')),
            (types.IPV6, ('::1', 'fe80::1', ''), ('1.2.3.4', 'x', ':::')),
        ):
            body = bodies.BodySchema({1: schema})
            for value in good:
                body.validate(value, 1)
            for value in bad:
                self.assertIn('must be an IPv', self.refusal(schema, value))

    def test_trailing_line_break_in_name(self):
        for schema in (types.HOST, types.UUID, types.NAME, types.TAG):
            good = '9f4b2c1e-0000-4000-8000-000000000000'
            bodies.BodySchema({1: schema}).validate(good, 1)
        for schema in (types.HOST, types.UUID, types.NAME):
            self.assertIn('must be', self.refusal(schema, good + '\n'))

    def test_truth(self):
        for value in types.BOOLEAN['enum']:
            expected = str(value).lower() in ('true', '1', 'on', 'yes')
            self.assertIs(expected, types.to_bool(value), value)

    def test_schema_versions_are_in_range(self):
        found = [route.body for route in app.ROUTES if route.body]
        found += [action.body for action in server_actions.ACTIONS.values()]
        for body in found:
            self.assertIn(microversion.MINIMUM, body.schemas)
            self.assertLessEqual(max(body.schemas), microversion.MAXIMUM)


class QueryTest(base.TestCase):
    """Parameters."""

    def test_moments(self):
        utc = datetime.UTC
        for text, expected in (
            ('2026-01-31', datetime.datetime(2026, 1, 31, tzinfo=utc)),
            (
                '2026-01-31T12:00',
                datetime.datetime(2026, 1, 31, 12, tzinfo=utc),
            ),
            (
                '2026-01-31T12:00:00+02:00',
                datetime.datetime(2026, 1, 31, 10, tzinfo=utc),
            ),
            (
                '2026-01-31T12:00:00 02:00',
                datetime.datetime(2026, 1, 31, 10, tzinfo=utc),
            ),
            (
                '2026-01-31 12:00:00',
                datetime.datetime(2026, 1, 31, 12, tzinfo=utc),
            ),
        ):
            self.assertEqual(expected, queries.parse_time(text), text)
        for text in ('', 'x', '2026', '2026-02-30', '0001-01-01T00:00+10:00'):
            self.assertRaises(ValueError, queries.parse_time, text)

    def test_truths(self):
        for text in ('1', 'true', 'Yes', 'ON', 't'):
            self.assertIs(True, queries.parse_boolean(text))
        for text in ('0', 'false', 'No', 'off', 'F'):
            self.assertIs(False, queries.parse_boolean(text))
        for text in ('', '2', 'maybe'):
            self.assertRaises(ValueError, queries.parse_boolean, text)
        self.assertIs(True, queries.parse_flag(''))

    def test_numbers(self):
        self.assertEqual(2147483647, queries.parse_number('2147483647'))
        for text in ('2147483648', '-1', '1.0', '', '٣', ' 1'):
            self.assertRaises(ValueError, queries.parse_number, text)

    def test_versions(self):
        query = queries.QuerySchema(
            {
                'new': queries.Param(since=5),
                'old': queries.Param(until=5),
            },
            strict_since=7,
        )
        raw = {'new': 'a', 'old': 'b', 'x': 'c'}
        self.assertEqual({'old': 'b'}, query.parse(raw, 4))
        self.assertEqual({'new': 'a', 'old': 'b'}, query.parse(raw, 5))
        self.assertEqual({'new': 'a'}, query.parse(raw, 6))
        error = self.assertRaises(exception.InvalidInput, query.parse, raw, 7)
        self.assertIn(
            "no parameter 'old' here; the parameters are new", str(error)
        )


class PatternTest(base.TestCase):
    """Regular expressions."""

    def test_taken(self):
        for pattern in (
            '',
            'web',
            '^web-[0-9]+$',
            'a.*b',
            '(web|db)-1',
            'a{2,3}',
            r'\d+\.example',
            '[^a-c]?x',
        ):
            self.assertEqual(pattern, patterns.parse_regex(pattern))

    def test_refused(self):
        for pattern, text in (
            ('(', 'must be a regular expression'),
            ('*', 'must be a regular expression'),
            ('a' * 256, 'longer than 255'),
            ('(a+)+$', 'repeats single characters only'),
            ('(a|a)*', 'repeats single characters only'),
            ('(ab)*', 'repeats single characters only'),
            ('.*a.*b.*c.*d.*e', 'at most 4 repetitions'),
            ('a*?', 'without'),
            ('a{256}', 'more than 255 times'),
            ('a{2,256}', 'more than 255 times'),
            (r'a\Z', 'must be a regular expression'),
            ('(?=a)', 'lookahead'),
            (r'(a)\1', 'references'),
            ('((((a*)))*)', 'repeats single characters only'),
        ):
            error = self.assertRaises(
                ValueError, patterns.parse_regex, pattern
            )
            self.assertIn(text, str(error), pattern)


def find_unbounded(schema, path):
    """Give the texts, lists and objects of a schema without a maximum."""
    kinds = schema.get('type', [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    pattern = schema.get('pattern', '.*')
    is_repeated = '*' in pattern or '+' in pattern
    is_open = schema.get('additionalProperties') is not False
    # Nothing is kept of a security group.
    is_kept = set(schema.get('properties', {})) != {'name'}
    for kind, missing in (
        ('string', is_repeated and not {'maxLength', 'enum'} & set(schema)),
        ('array', 'maxItems' not in schema),
        ('object', is_open and is_kept and 'maxProperties' not in schema),
    ):
        if kind in kinds and missing:
            yield f'{path}: {kind}'
    for word in ('properties', 'patternProperties'):
        for name, inner in schema.get(word, {}).items():
            yield from find_unbounded(inner, f'{path}.{name}')
    for word in ('items', 'additionalProperties'):
        if isinstance(schema.get(word), dict):
            yield from find_unbounded(schema[word], f'{path}[]')


class BoundsTest(base.TestCase):
    """No body has a text or a list without a maximum."""

    def test_bodies(self):
        bodies = [(r.path, r.body) for r in app.ROUTES if r.body]
        bodies += [
            (name, action.body)
            for name, action in server_actions.ACTIONS.items()
        ]
        unbounded = {
            found
            for name, body in bodies
            for schema in body.schemas.values()
            for found in find_unbounded(schema, name)
        }
        self.assertEqual(set(), unbounded)

    def test_queries(self):
        for route in app.ROUTES:
            for name, param in route.query.params.items():
                self.assertLessEqual(param.max_length, 4096, name)


class HistoryTest(base.TestCase):
    """The table of microversions."""

    def test_versions_have_no_gaps(self):
        self.assertEqual(
            list(range(1, microversion.MAXIMUM + 1)),
            sorted(microversion.HISTORY),
        )

    def test_version_changes_are_documented(self):
        emitted = {
            version
            for version, text in microversion.HISTORY.items()
            if text != microversion._NO_CHANGE
        }
        changes = set()
        for route in app.ROUTES:
            changes |= {route.since, route.until + 1}
            if route.body:
                changes |= set(route.body.schemas)
            for param in route.query.params.values():
                changes |= {param.since, param.until + 1}
        for action in server_actions.ACTIONS.values():
            changes |= set(action.body.schemas)
        changes = {one for one in changes if one <= microversion.MAXIMUM}
        self.assertEqual(set(), changes - emitted)
