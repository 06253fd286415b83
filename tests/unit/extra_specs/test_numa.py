# SPDX-License-Identifier: Apache-2.0
"""The CPU policies and the NUMA cells of a flavor and an image."""

from minova.extra_specs.numa import NumaCell
from tests.unit.extra_specs.test_parser import ParserTestCase


class NumaTest(ParserTestCase):
    """A flavor with 1 vCPU and 512 MiB, unless a test says more."""

    def cells(self, specs, properties=None):
        found = self.granted(specs, properties or {}, vcpus=4, memory_mb=1000)
        return found.numa_cells

    def wrong(self, word, specs, properties=None):
        self.refused(word, specs, properties or {}, vcpus=4, memory_mb=1000)

    def test_none(self):
        self.assertEqual((), self.cells({}))
        self.assertEqual((), self.cells({'hw:cpu_policy': 'shared'}))

    def test_one_cell_for_dedicated_cpus_and_huge_pages(self):
        whole = (NumaCell((0, 1, 2, 3), 1000),)
        for specs in (
            {'hw:cpu_policy': 'dedicated'},
            {'hw:mem_page_size': 'large'},
            {'hw:numa_nodes': '1'},
        ):
            self.assertEqual(whole, self.cells(specs))

    def test_equal_cells(self):
        made = (NumaCell((0, 1), 500), NumaCell((2, 3), 500))
        self.assertEqual(made, self.cells({'hw:numa_nodes': '2'}))
        self.assertEqual(made, self.cells({}, {'hw_numa_nodes': 2}))
        self.wrong('does not divide 4 vCPUs', {'hw:numa_nodes': '3'})

    def given(self, **changes):
        made = {
            'hw:numa_nodes': '2',
            'hw:numa_cpus.0': '3',
            'hw:numa_cpus.1': '0-2',
            'hw:numa_mem.0': '100',
            'hw:numa_mem.1': '900',
        }
        for name, value in changes.items():
            key = f'hw:numa_{name[:-1]}.{name[-1]}'
            made[key] = value
        return {key: text for key, text in made.items() if text}

    def test_unequal_cells(self):
        made = (NumaCell((3,), 100), NumaCell((0, 1, 2), 900))
        self.assertEqual(made, self.cells(self.given()))
        image = {
            key.replace('hw:', 'hw_'): value
            for key, value in self.given().items()
        }
        self.assertEqual(made, self.cells({}, image))

    def test_wrong_cells(self):
        for changes, word in (
            ({'cpus0': '2-3'}, 'each vCPU from 0 to 3 in one cell'),
            ({'cpus0': '4'}, 'each vCPU from 0 to 3'),
            ({'mem0': '99'}, 'has 999 MiB in sum; the flavor has 1000 MiB'),
            ({'mem0': ''}, 'hw:numa_mem.0 is missing'),
            ({'cpus2': '1'}, 'beyond hw:numa_nodes=2'),
            ({'cpus0': 'x'}, 'must be a list of CPUs'),
        ):
            found = self.given(**changes)
            if changes == {'cpus0': 'x'}:
                del found['hw:numa_cpus.0']
                found['hw:numa_cpus.1'] = 'x'
                del found['hw:numa_mem.0'], found['hw:numa_mem.1']
                del found['hw:numa_nodes']
            self.wrong(word, found)
        self.wrong('needs hw:numa_nodes', {'hw:numa_cpus.0': '0-3'})
        self.wrong(
            'the image may not', {'hw:numa_nodes': '1'}, {'hw_numa_nodes': 1}
        )

    def test_policies_of_flavor_and_image(self):
        both = self.granted(
            {'hw:cpu_policy': 'dedicated'}, {'hw_cpu_policy': 'shared'}
        )
        self.assertTrue(both.is_dedicated)
        self.assertTrue(
            self.granted({}, {'hw_cpu_policy': 'dedicated'}).is_dedicated
        )
        self.refused(
            'contradicts',
            {'hw:cpu_policy': 'shared'},
            {'hw_cpu_policy': 'dedicated'},
        )

    def test_policies_of_dedicated_guests(self):
        own = {'hw:cpu_policy': 'dedicated'}
        self.refused('needs hw:cpu_policy', {'hw:cpu_thread_policy': 'prefer'})
        self.refused(
            'needs hw:cpu_policy', {'hw:emulator_threads_policy': 'isolate'}
        )
        found = self.granted(
            own | {'hw:cpu_thread_policy': 'prefer'},
            {'hw_cpu_thread_policy': 'require'},
        )
        self.assertEqual('require', found.cpu_thread_policy)
        self.refused(
            'contradicts',
            own | {'hw:cpu_thread_policy': 'isolate'},
            {'hw_cpu_thread_policy': 'require'},
        )

    def test_pages_of_a_cell(self):
        self.refused(
            'NUMA cell is not a multiple',
            {'hw:numa_nodes': '2', 'hw:mem_page_size': '2MB'},
            {},
            vcpus=2,
            memory_mb=6,
        )
