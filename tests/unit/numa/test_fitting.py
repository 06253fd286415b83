# SPDX-License-Identifier: Apache-2.0
"""The choice of a placement on a host."""

from hypothesis import given
from hypothesis import strategies

from minova.extra_specs.numa import NumaCell
from minova.numa import fitting
from minova.numa import host_cells
from minova.numa.placement import Placement
from minova.numa.request import NumaRequest
from tests import base


def cells(*sizes, memory_mb=512):
    """Return the cells of a guest with so many vCPUs each."""
    found, first = [], 0
    for size in sizes:
        found.append(NumaCell(tuple(range(first, first + size)), memory_mb))
        first += size
    return tuple(found)


def dedicated(*sizes, **more):
    return NumaRequest(cells(*sizes), is_dedicated=True, **more)


class FittingTestCase(base.TestCase):
    """A host of two cells with four CPUs each, of which two are dedicated."""

    threads = 1

    def setUp(self):
        super().setUp()
        made = host_cells.divide(8, 4096, 2, self.threads, {2048: 300})
        self.host = host_cells.assign_cpus(made, '2-3,6-7', '0-1,4-5')

    def fits(self, request, *placed, **ratios):
        found = fitting.fit(self.host, placed, request, **ratios)
        self.assertIsInstance(found, Placement, found)
        self.assertEqual(found, Placement.from_json(found.to_json()))
        return found

    def refused(self, word, request, *placed, **ratios):
        found = fitting.fit(self.host, placed, request, **ratios)
        self.assertIsInstance(found, fitting.Unfit)
        self.assertIn(word, found.reason)


class FittingTest(FittingTestCase):
    """Cores with one thread."""

    def test_dedicated(self):
        one = self.fits(dedicated(2))
        self.assertEqual({0: 2, 1: 3}, one.pins)
        two = self.fits(dedicated(2), one)
        self.assertEqual({0: 6, 1: 7}, two.pins)
        self.refused('0 of 1 dedicated CPUs', dedicated(1), one, two)

    def test_a_cell_is_not_divided(self):
        self.refused('2 of 3 dedicated CPUs are free', dedicated(3))

    def test_two_cells(self):
        found = self.fits(dedicated(1, 2))
        self.assertEqual({0, 1}, {one.host_cell for one in found.cells})
        self.assertEqual(3, len(set(found.pcpus)))
        self.refused('2 of 3 NUMA cells', dedicated(1, 1, 1))

    def test_cells_are_exchanged_for_a_larger_one(self):
        """The first guest cell leaves the host cell that only it can leave."""
        taken = self.fits(dedicated(1))
        # One CPU is left in host cell 0, two in 1.
        found = self.fits(dedicated(1, 2), taken)
        self.assertEqual([0, 1], [one.host_cell for one in found.cells])
        self.refused('different NUMA cells', dedicated(2, 2), taken)

    def test_isolated_emulator(self):
        found = self.fits(dedicated(1, isolates_emulator=True))
        self.assertEqual(({0: 2}, (3,)), (found.pins, found.emulator_cpus))
        self.assertEqual(2, dedicated(1, isolates_emulator=True).pcpus)
        self.refused('2 of 3', dedicated(2, isolates_emulator=True))

    def test_shared(self):
        request = NumaRequest(cells(2))
        one = self.fits(request)
        self.assertEqual((0, 1), one.cells[0].cpus)
        self.assertEqual(({}, ()), (one.pins, one.pcpus))
        two = self.fits(request, one)
        self.refused('0 of 2 vCPUs are free', request, one, two)
        self.fits(request, one, two, cpu_ratio=2.0)
        self.refused('2 of 3 shared', NumaRequest(cells(3)), cpu_ratio=9.0)

    def test_memory(self):
        # 2048 MiB less 600 MiB of huge pages in each cell.
        self.fits(NumaRequest(cells(1, memory_mb=1448)))
        large = NumaRequest(cells(1, memory_mb=1449))
        self.refused('1448 of 1449 MiB are free', large, ram_ratio=1.5)
        # Overcommit counts for normal pages, and for several guests.
        most = NumaRequest(cells(1, memory_mb=1448))
        one = self.fits(most)
        two = self.fits(most, one)
        self.fits(
            NumaRequest(cells(1, memory_mb=724)), one, two, ram_ratio=1.5
        )
        self.refused(
            '724 of 725 MiB are free',
            NumaRequest(cells(1, memory_mb=725)),
            one,
            two,
            ram_ratio=1.5,
        )

    def test_huge_pages(self):
        for pages in ('large', 2048):
            request = NumaRequest(cells(1, memory_mb=400), pages=pages)
            one = self.fits(request)
            self.assertEqual(2048, one.cells[0].page_kb)
            self.assertEqual(200, one.cells[0].page_count)
            two = self.fits(request, one)
            self.refused('free: 100 of 2048 KiB', request, one, two)
        self.refused(
            'no 1048576 memory pages',
            NumaRequest(cells(1, memory_mb=1024), pages=1048576),
        )

    def test_no_cells(self):
        self.host = []
        self.refused('reports no NUMA cells', dedicated(1))

    def test_no_dedicated_cpus(self):
        self.host = host_cells.divide(8, 4096, 2)
        self.refused('[compute] cpu_dedicated_set', dedicated(1))

    def test_threads_of_plain_cores(self):
        self.fits(dedicated(2, thread_policy='isolate'))
        self.refused('one thread', dedicated(2, thread_policy='require'))


class ThreadsTest(FittingTest):
    """The same host, whose cores have two threads."""

    threads = 2

    def test_threads_of_plain_cores(self):
        self.refused('several threads', dedicated(1, thread_policy='isolate'))
        self.fits(dedicated(2, thread_policy='require'))

    def test_half_a_core_has_no_pair(self):
        first = self.fits(dedicated(1))
        second = self.fits(dedicated(1), first)
        request = dedicated(2, thread_policy='require')
        self.refused('0 of 2 dedicated', request, first, second)


class NoCpuTwiceTest(FittingTestCase):
    """No two guests get the same CPU."""

    @given(
        strategies.lists(
            strategies.lists(
                strategies.integers(1, 3), min_size=1, max_size=2
            ),
            max_size=8,
        )
    )
    def test_no_cpu_twice(self, guests):
        placed = []
        for sizes in guests:
            found = fitting.fit(self.host, placed, dedicated(*sizes))
            if isinstance(found, Placement):
                placed.append(found)
        taken = [cpu for one in placed for cpu in one.pcpus]
        self.assertEqual(sorted(set(taken)), sorted(taken))
        self.assertTrue({2, 3, 6, 7}.issuperset(taken))
