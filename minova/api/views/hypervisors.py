# SPDX-License-Identifier: Apache-2.0
"""Hypervisors and their totals."""

from collections.abc import Iterable
import dataclasses
import json
from typing import Final
from typing import Protocol

from minova.api.views import Document
from minova.db.queries.hosts import Host
from minova.db.queries.hosts import Service
from minova.engine import service_liveness

#: The version since which hypervisors show no resources and loads.
PLAIN_SINCE: Final = 88


class HostedServer(Protocol):
    """A row of ``server_queries.list_on_hosts``."""

    host: str
    uuid: str
    display_name: str
    task_state: str | None


@dataclasses.dataclass(frozen=True)
class Hypervisor:
    """A host, its service if there is one, and the servers on it."""

    host: Host
    service: Service | None
    is_up: bool
    servers: tuple[HostedServer, ...] = ()

    @property
    def workload(self) -> int:
        """Return the number of servers with an operation in progress."""
        return sum(row.task_state is not None for row in self.servers)


def get_id(found: Hypervisor, version: int) -> str | int:
    """Return the id of a hypervisor at this microversion."""
    return found.host.uuid if version >= 53 else found.host.id


def brief(found: Hypervisor, version: int) -> Document:
    """Return the hypervisor for a list."""
    enabled = found.service is not None and service_liveness.is_enabled(
        found.service
    )
    return {
        'id': get_id(found, version),
        'hypervisor_hostname': found.host.hypervisor_hostname,
        'state': 'up' if found.is_up else 'down',
        'status': 'enabled' if enabled else 'disabled',
    }


def detail(found: Hypervisor, version: int) -> Document:
    """Return the hypervisor in full."""
    host, service = found.host, found.service
    if version >= PLAIN_SINCE:
        # No hypervisor reports its uptime.
        more: Document = {'uptime': None}
    else:
        more = _totals([found])
        del more['count']
        more['cpu_info'] = (
            host.cpu_info if version >= 28 else json.dumps(host.cpu_info)
        )
    return (
        brief(found, version)
        | more
        | {
            'host_ip': host.address,
            'hypervisor_type': host.hypervisor_type,
            'hypervisor_version': host.hypervisor_version,
            'service': {
                'host': host.host,
                'id': _service_id(service, version),
                'disabled_reason': _disabled_reason(service),
            },
        }
    )


def _disabled_reason(service: Service | None) -> str | None:
    if service is None:
        return None
    return service_liveness.disabled_reason(service) or None


def _service_id(service: Service | None, version: int) -> str | int:
    if service is None:
        return '' if version >= 53 else 0
    return service.uuid if version >= 53 else service.id


def add_servers(result: Document, found: Hypervisor) -> Document:
    """Add the servers on it to ``result``."""
    result['servers'] = [
        {'uuid': row.uuid, 'name': row.display_name} for row in found.servers
    ]
    return result


def statistics(found: Iterable[Hypervisor]) -> Document:
    """Return the totals of hypervisors."""
    return _totals(list(found))


def _totals(found: list[Hypervisor]) -> Document:
    hosts = [one.host for one in found]
    disk = sum(host.disk_gb for host in hosts)
    memory = sum(host.memory_mb for host in hosts)
    disk_used = sum(h.disk_gb_used + h.reserved_disk_gb for h in hosts)
    memory_used = sum(h.memory_mb_used + h.reserved_memory_mb for h in hosts)
    return {
        'count': len(found),
        'vcpus': sum(host.vcpus + host.pcpus for host in hosts),
        'vcpus_used': sum(host.vcpus_used + host.pcpus_used for host in hosts),
        'memory_mb': memory,
        'memory_mb_used': memory_used,
        'free_ram_mb': memory - memory_used,
        'local_gb': disk,
        'local_gb_used': disk_used,
        'free_disk_gb': disk - disk_used,
        'disk_available_least': disk - disk_used,
        'running_vms': sum(len(one.servers) for one in found),
        'current_workload': sum(one.workload for one in found),
    }
