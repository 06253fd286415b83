# SPDX-License-Identifier: Apache-2.0
"""The NUMA cells of a host, and the CPUs that options give to guests."""

from minova import exception
from minova.numa import host_cells
from minova.numa.host_cells import HostCell
from tests import base


class HostCellsTest(base.TestCase):
    """Eight CPUs in two cells, two threads to a core."""

    def setUp(self):
        super().setUp()
        self.cells = host_cells.divide(8, 4096, 2, threads=2, pages={2048: 9})

    def test_divide(self):
        first, second = self.cells
        self.assertEqual({0, 1, 2, 3}, first.cpus)
        self.assertEqual(({4, 5}, {6, 7}), second.siblings)
        self.assertEqual((2048, {2048: 9}), (second.memory_mb, second.pages))

    def test_json(self):
        for cell in self.cells:
            self.assertEqual(cell, HostCell.from_json(cell.to_json()))

    def assign(self, dedicated, shared):
        found = host_cells.assign_cpus(self.cells, dedicated, shared)
        return [(set(one.pcpus), set(one.cpus)) for one in found]

    def test_without_options_all_are_shared(self):
        self.assertEqual(
            [(set(), {0, 1, 2, 3}), (set(), {4, 5, 6, 7})],
            self.assign(None, None),
        )

    def test_both_sets(self):
        self.assertEqual(
            [({2, 3}, {0}), ({6}, {4, 5})], self.assign('2-3,6', '0,4-5')
        )

    def test_dedicated_alone_shares_none(self):
        self.assertEqual(
            [({2, 3}, set()), (set(), set())], self.assign('2-3', None)
        )

    def test_invalid(self):
        for dedicated, shared, word in (
            ('0-3', '3-4', 'both have the CPUs 3'),
            ('7-9', None, 'the host has no CPU 8-9'),
            (None, 'x', 'cpu_shared_set is'),
        ):
            error = self.assertRaises(
                exception.ConfigInvalid, self.assign, dedicated, shared
            )
            self.assertIn(word, str(error))

    def test_pages(self):
        self.assertEqual(
            {2048: 5, 1048576: 1},
            host_cells.parse_pages(['2048:5', '1048576:1']),
        )
        self.assertRaises(
            exception.ConfigInvalid, host_cells.parse_pages, ['2M:5']
        )
