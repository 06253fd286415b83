# SPDX-License-Identifier: Apache-2.0
"""The NUMA topology of a server.

A server has one when its flavor or image asks for huge pages: one node with
all its processors and memory. Minova binds no guest to a node or a processor
of its host, so no node has a ``host_node`` and ``cpu_pinning`` is empty.
"""

from minova.api.views import Document
from minova.extra_specs import parser
from minova.objects.instance import Instance


def topology(instance: Instance, shows_host: bool) -> Document:
    """Return the document; with ``shows_host``, what the host decided."""
    flavor = instance.flavor
    found = parser.parse(
        flavor.extra_specs, instance.image_meta, flavor.vcpus, flavor.memory_mb
    ).requirements
    if found.pages is None:
        return {'nodes': [], 'pagesize_kb': None}
    threads = found.topology.threads
    vcpus = list(range(flavor.vcpus))
    node: Document = {
        'vcpu_set': vcpus,
        'siblings': [
            vcpus[first : first + threads]
            for first in range(0, flavor.vcpus, threads)
            if threads > 1
        ],
        'memory_mb': flavor.memory_mb,
    }
    if shows_host:
        node['cpu_pinning'] = {}
    return {
        'nodes': [node],
        'pagesize_kb': found.pages if isinstance(found.pages, int) else None,
    }
