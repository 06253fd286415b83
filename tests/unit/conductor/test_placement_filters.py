# SPDX-License-Identifier: Apache-2.0
"""The operators of extra specs, queries, and the names of filters."""

from minova import exception
from minova.conductor import host_query
from minova.conductor import placement_filters
from minova.conductor import spec_operators
from minova.conf import scheduler
from tests import base


class OperatorsTest(base.TestCase):
    """Values of extra specs."""

    def test_matches(self):
        for value, requirement in (
            ('a', 'a'),
            ('a b', 'a b'),
            ('', ''),
            ('4', '= 4'),
            ('5', '= 4'),
            ('4', '== 4.0'),
            ('4', '!= 5'),
            ('4', '>= 4'),
            ('4', '<= 4'),
            ('abc', 's== abc'),
            ('abc', 's!= abd'),
            ('b', 's> a'),
            ('b', 's>= b'),
            ('a', 's< b'),
            ('a', 's<= a'),
            ('ssd,nvme', '<in> nvme'),
            ('aes mmx', '<all-in> aes mmx'),
            ('v 2', '<or> v 1 <or> v 2'),
        ):
            self.assertTrue(spec_operators.match(value, requirement), value)

    def test_mismatches(self):
        for value, requirement in (
            ('a', 'b'),
            ('3', '= 4'),
            ('x', '>= 4'),
            ('4', '>= x'),
            ('aes', '<all-in> aes mmx'),
            ('c', '<or> a <or> b'),
            ('a', 's> b'),
        ):
            self.assertFalse(spec_operators.match(value, requirement), value)


class QueriesTest(base.TestCase):
    """The hint query."""

    def test_conditions(self):
        values = {'free_ram_mb': 1024, 'host': 'a', 'cpu_info': {'arch': 'x'}}
        for text, expected in (
            ('[">=", "$free_ram_mb", 1024]', True),
            ('["<", "$free_ram_mb", 1024]', False),
            ('["not", ["=", "$host", "b"]]', True),
            ('["in", "$host", "b", "a"]', True),
            (
                '["or", ["=", "$host", "b"], ["=", "$cpu_info.arch", "x"]]',
                True,
            ),
            ('["and", ["=", "$host", "a"], ["=", "$none", 1]]', False),
            ('[">", "$host", 1]', False),
        ):
            self.assertIs(expected, host_query.parse(text)(values), text)

    def test_invalid_conditions(self):
        nested = '["not", ' * 20 + '["=", 1, 1]' + ']' * 20
        for text in ('x', '{}', '[]', '["x", 1, 2]', '["=", 1]', nested):
            self.assertRaises(exception.InvalidInput, host_query.parse, text)


class NamesTest(base.TestCase):
    """The option lists every filter."""

    def test_choices(self):
        (option,) = (
            one for one in scheduler.OPTIONS if one.name == 'enabled_filters'
        )
        choices = set(option.type.item_type.choices)
        self.assertEqual(set(placement_filters.BY_NAME), choices)
