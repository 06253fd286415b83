# SPDX-License-Identifier: Apache-2.0
"""The parts of a definition that bind a guest to CPUs and NUMA cells.

Pure functions; ``xml`` combines them for a definition, and ``rebind`` replaces
what depends on the host in that of a guest that migrates. The format is
https://libvirt.org/formatdomain.html.
"""

from collections.abc import Collection
from typing import Final
from xml.etree import ElementTree

from minova import cpu_set
from minova.extra_specs.parser import GuestRequirements
from minova.numa.placement import Placement
from minova.virt.libvirt.xml_elements import add
from minova.virt.libvirt.xml_elements import add_text

#: What ``add_pins`` adds to cputune.
_PINS: Final = ('vcpupin', 'emulatorpin')


def add_memory_backing(
    root: ElementTree.Element,
    requirements: GuestRequirements,
    placement: Placement | None,
) -> None:
    """Add huge pages: those of the placement, else of the flavor.

    Without a size they are of the host's default size.
    """
    if requirements.pages is None:
        return
    pages = add(add(root, 'memoryBacking'), 'hugepages')
    if placement is None:
        if isinstance(requirements.pages, int):
            add(pages, 'page', size=requirements.pages, unit='KiB')
        return
    sizes = {cell.page_kb for cell in placement.cells} - {None}
    for size in sorted(size for size in sizes if size is not None):
        cells = [
            number
            for number, cell in enumerate(placement.cells)
            if cell.page_kb == size
        ]
        add(
            pages,
            'page',
            size=size,
            unit='KiB',
            nodeset=cpu_set.to_text(cells),
        )


def add_vcpus(
    root: ElementTree.Element,
    vcpus: int,
    placement: Placement | None,
    shared_cpus: str | None,
) -> None:
    """Add the number of vCPUs, and the CPUs that they share.

    A placement has the CPUs of each vCPU; every other guest keeps off the
    dedicated ones.
    """
    add_text(root, 'vcpu', vcpus)
    if placement is None and shared_cpus:
        root[-1].set('cpuset', shared_cpus)


def add_pins(
    tuning: ElementTree.Element,
    placement: Placement,
    emulator_policy: str | None,
    shared_cpus: str | None,
) -> None:
    """Add the CPUs of each vCPU, and of the threads of the emulator."""
    for cell in placement.cells:
        for number, vcpu in enumerate(cell.vcpus):
            own = cell.cpus
            if placement.is_dedicated:
                own = cell.cpus[number : number + 1]
            add(tuning, 'vcpupin', vcpu=vcpu, cpuset=cpu_set.to_text(own))
    add(
        tuning,
        'emulatorpin',
        cpuset=_emulator_cpus(placement, emulator_policy, shared_cpus),
    )


def _emulator_cpus(
    placement: Placement, policy: str | None, shared_cpus: str | None
) -> str:
    if placement.emulator_cpus:
        return cpu_set.to_text(placement.emulator_cpus)
    if policy == 'share' and shared_cpus:
        return cpu_set.to_text(cpu_set.parse(shared_cpus))
    return cpu_set.to_text(
        {cpu for cell in placement.cells for cpu in cell.cpus}
    )


def add_numa_tuning(root: ElementTree.Element, placement: Placement) -> None:
    """Add the cell of the host of each cell of the guest."""
    tuning = add(root, 'numatune')
    cells = [cell.host_cell for cell in placement.cells]
    add(tuning, 'memory', mode='strict', nodeset=cpu_set.to_text(cells))
    for number, cell in enumerate(cells):
        add(tuning, 'memnode', cellid=number, mode='strict', nodeset=cell)


def add_cells(
    cpu: ElementTree.Element, requirements: GuestRequirements
) -> None:
    """Add the NUMA cells that the guest sees."""
    if not requirements.numa_cells:
        return
    cells = add(cpu, 'numa')
    for number, cell in enumerate(requirements.numa_cells):
        add(
            cells,
            'cell',
            id=number,
            cpus=cpu_set.to_text(cell.vcpus),
            memory=cell.memory_mb,
            unit='MiB',
        )


def rebind(
    root: ElementTree.Element,
    placement: Placement | None,
    emulator_policy: str | None,
    shared_cpus: str | None,
) -> None:
    """Replace the CPUs and cells of one host by those of another.

    What the guest sees stays.
    """
    vcpu = root.find('vcpu')
    if vcpu is not None:
        vcpu.attrib.pop('cpuset', None)
        if placement is None and shared_cpus:
            vcpu.set('cpuset', shared_cpus)
    tuning = root.find('cputune')
    if tuning is not None:
        _remove(tuning, _PINS)
    old = root.find('numatune')
    if old is not None:
        root.remove(old)
    if placement is None:
        return
    if tuning is None:
        tuning = add(root, 'cputune')
    add_pins(tuning, placement, emulator_policy, shared_cpus)
    add_numa_tuning(root, placement)


def _remove(parent: ElementTree.Element, tags: Collection[str]) -> None:
    for tag in tags:
        for child in parent.findall(tag):
            parent.remove(child)
