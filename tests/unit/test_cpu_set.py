# SPDX-License-Identifier: Apache-2.0
"""Sets of CPUs as text."""

from minova import cpu_set
from tests import base


class CpuSetTest(base.TestCase):
    """Both directions."""

    def test_parse(self):
        for text, cpus in (
            ('0', {0}),
            ('0-2, 8', {0, 1, 2, 8}),
            ('4-12,^8,^10-11', {4, 5, 6, 7, 9, 12}),
        ):
            self.assertEqual(cpus, cpu_set.parse(text))

    def test_invalid(self):
        for text in ('', 'x', '3-1', '-1', '0,', '^1', '1,^1', '1-2-3'):
            self.assertRaises(ValueError, cpu_set.parse, text)

    def test_to_text(self):
        self.assertEqual('0-2,5,7-8', cpu_set.to_text({8, 7, 5, 2, 1, 0}))
        self.assertEqual('', cpu_set.to_text(()))
        self.assertEqual(frozenset(), cpu_set.parse_or_empty(''))
