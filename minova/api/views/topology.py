# SPDX-License-Identifier: Apache-2.0
"""The NUMA topology of a server.

A server has one when its flavor or image asks for cells, dedicated CPUs or
huge pages. The claim on its host says where the cells are.
"""

from minova.api.views import Document
from minova.extra_specs import parser
from minova.numa.placement import Placement
from minova.objects.instance import Instance


def topology(
    instance: Instance, placement: Placement | None, shows_host: bool
) -> Document:
    """Return the document; with ``shows_host``, what the host decided.

    ``placement`` is None for a server without a host.
    """
    flavor = instance.flavor
    guest = parser.parse(
        flavor.extra_specs, instance.image_meta, flavor.vcpus, flavor.memory_mb
    ).requirements
    if not guest.numa_cells:
        return {'nodes': [], 'pagesize_kb': None}
    threads = guest.topology.threads
    nodes = []
    for number, cell in enumerate(guest.numa_cells):
        node: Document = {
            'vcpu_set': list(cell.vcpus),
            'siblings': [
                list(cell.vcpus[first : first + threads])
                for first in range(0, len(cell.vcpus), threads)
                if threads > 1
            ],
            'memory_mb': cell.memory_mb,
        }
        if shows_host:
            node['cpu_pinning'] = {}
            if placement is not None:
                pins = placement.pins
                node['host_node'] = placement.cells[number].host_cell
                node['cpu_pinning'] = {
                    str(vcpu): pins[vcpu] for vcpu in cell.vcpus if pins
                }
        nodes.append(node)
    page_kb = guest.pages if isinstance(guest.pages, int) else None
    if placement is not None:
        page_kb = placement.cells[0].page_kb
    return {'nodes': nodes, 'pagesize_kb': page_kb}
