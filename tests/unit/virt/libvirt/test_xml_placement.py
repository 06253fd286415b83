# SPDX-License-Identifier: Apache-2.0
"""CPUs and NUMA cells in a definition, valid in libvirt's schema."""

import dataclasses
from xml.etree import ElementTree

import libvirt

from minova.numa.placement import PlacedCell
from minova.numa.placement import Placement
from minova.virt.libvirt import xml
from minova.virt.libvirt.qemu import migration_xml
from tests import base
from tests.unit.virt.libvirt.test_xml_devices import DISKS
from tests.unit.virt.rigs import spec

SPECS = {
    'hw:cpu_policy': 'dedicated',
    'hw:numa_nodes': '2',
    'hw:mem_page_size': '2MB',
}
PLACEMENT = Placement(
    (
        PlacedCell(1, (0, 1), (9, 8), 512, 2048),
        PlacedCell(0, (2, 3), (2, 3), 512, 2048),
    ),
    is_dedicated=True,
)


class PlacementTest(base.TestCase):
    """The test driver of libvirt validates by libvirt's own schema."""

    def setUp(self):
        super().setUp()
        libvirt.registerErrorHandler(lambda context, error: None, None)
        path = f'{self.directory}/node.xml'
        with open(path, 'w') as file:
            file.write('<node/>')
        self.libvirt = libvirt.open(f'test://{path}')
        self.addCleanup(self.libvirt.close)
        self.profile = dataclasses.replace(
            xml.PROFILES['test'], shared_cpus='4-7'
        )

    def made(self, specs, placement):
        return spec(
            extra_specs=specs,
            vcpus=4,
            memory_mb=1024,
            placement=placement and placement.to_json(),
        )

    def text(self, specs=SPECS, placement=PLACEMENT):
        text = xml.domain_xml(
            self.made(specs, placement),
            DISKS,
            self.profile,
            '/hosts/a/console',
            '127.0.0.1',
        )
        self.libvirt.defineXMLFlags(
            text, libvirt.VIR_DOMAIN_DEFINE_VALIDATE
        ).undefine()
        return text

    def pins(self, root):
        return {
            pin.get('vcpu'): pin.get('cpuset')
            for pin in root.findall('cputune/vcpupin')
        }

    def test_dedicated(self):
        root = ElementTree.fromstring(self.text())
        self.assertEqual(
            {'0': '9', '1': '8', '2': '2', '3': '3'}, self.pins(root)
        )
        emulator = root.find('cputune/emulatorpin')
        self.assertEqual('2-3,8-9', emulator.get('cpuset'))
        self.assertIsNone(root.find('vcpu').get('cpuset'))
        self.assertEqual('0-1', root.find('numatune/memory').get('nodeset'))
        nodes = root.findall('numatune/memnode')
        self.assertEqual(['1', '0'], [one.get('nodeset') for one in nodes])
        cells = root.findall('cpu/numa/cell')
        self.assertEqual(['0-1', '2-3'], [one.get('cpus') for one in cells])
        page = root.find('memoryBacking/hugepages/page')
        self.assertEqual(
            ('2048', '0-1'), (page.get('size'), page.get('nodeset'))
        )

    def test_cells_of_different_sizes(self):
        specs = {
            'hw:numa_nodes': '2',
            'hw:numa_cpus.0': '0,2-3',
            'hw:numa_cpus.1': '1',
            'hw:numa_mem.0': '256',
            'hw:numa_mem.1': '768',
        }
        placement = Placement(
            (
                PlacedCell(1, (0, 2, 3), (8, 9), 256),
                PlacedCell(0, (1,), (2, 3), 768),
            )
        )
        root = ElementTree.fromstring(self.text(specs, placement))
        cells = [
            (one.get('cpus'), one.get('memory'), one.get('unit'))
            for one in root.findall('cpu/numa/cell')
        ]
        self.assertEqual([('0,2-3', '256', 'MiB'), ('1', '768', 'MiB')], cells)
        self.assertEqual(
            {'0': '8-9', '1': '2-3', '2': '8-9', '3': '8-9'}, self.pins(root)
        )

    def emulator(self, policy, placement):
        specs = SPECS | {'hw:emulator_threads_policy': policy}
        root = ElementTree.fromstring(self.text(specs, placement))
        return root.find('cputune/emulatorpin').get('cpuset')

    def test_threads_of_the_emulator(self):
        self.assertEqual('4-7', self.emulator('share', PLACEMENT))
        isolated = dataclasses.replace(PLACEMENT, emulator_cpus=(10,))
        self.assertEqual('10', self.emulator('isolate', isolated))

    def test_shared(self):
        root = ElementTree.fromstring(self.text({}, None))
        self.assertEqual('4-7', root.find('vcpu').get('cpuset'))
        self.assertIsNone(root.find('cputune'))
        self.assertIsNone(root.find('numatune'))
        cell = PlacedCell(0, (0, 1, 2, 3), (4, 5), 1024)
        root = ElementTree.fromstring(
            self.text({'hw:numa_nodes': '1'}, Placement((cell,)))
        )
        self.assertEqual({str(n): '4-5' for n in range(4)}, self.pins(root))

    def test_migration(self):
        """The destination has its own cells; the guest keeps its shape."""
        cell = PlacedCell(0, (0, 1), (30, 31), 512, 2048)
        other = PlacedCell(1, (2, 3), (40, 41), 512, 2048)
        there = Placement((cell, other), is_dedicated=True)
        binding = migration_xml.cpu_binding(self.made(SPECS, there), '0-3')
        text = migration_xml.incoming_domain_xml(
            self.text(), {}, '', '127.0.0.1', binding
        )
        self.libvirt.defineXMLFlags(
            text, libvirt.VIR_DOMAIN_DEFINE_VALIDATE
        ).undefine()
        root = ElementTree.fromstring(text)
        self.assertEqual(
            {'0': '30', '1': '31', '2': '40', '3': '41'}, self.pins(root)
        )
        nodes = root.findall('numatune/memnode')
        self.assertEqual(['0', '1'], [one.get('nodeset') for one in nodes])
        before = ElementTree.fromstring(self.text())
        for path in ('cpu', 'memoryBacking'):
            self.assertEqual(
                ElementTree.tostring(before.find(path)),
                ElementTree.tostring(root.find(path)),
            )

    def test_migration_of_a_guest_of_any_cell(self):
        binding = migration_xml.cpu_binding(self.made({}, None), '0-3')
        text = migration_xml.incoming_domain_xml(
            self.text({}, None), {}, '', '127.0.0.1', binding
        )
        self.assertEqual(
            '0-3', ElementTree.fromstring(text).find('vcpu').get('cpuset')
        )
