# SPDX-License-Identifier: Apache-2.0
"""Rules about services, hosts and queues."""

import collections
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Final

from minova.audit.findings import Finding
from minova.audit.snapshot import Snapshot
from minova.db.queries import operations as db_operations
from minova.db.queries.hosts import Service
from minova.engine import service_liveness
from minova.rpc import compute
from minova.rpc import conductor
from minova.rpc.named_queue import QueueStats

_TOPICS: Final = {
    db_operations.COMPUTE_BINARY: compute.TOPIC,
    'nova-conductor': conductor.TOPIC,
}
#: The number of waiting messages that is more than a burst.
_BACKLOG: Final = 100


def find(snapshot: Snapshot) -> Iterator[Finding]:
    """Find hosts that are down, sick, unregistered or registered twice."""
    counts = collections.Counter(row.host for row in snapshot.list_existing())
    computes = {
        service.host: service for service in snapshot.database.compute_services
    }
    for host, count in sorted(counts.items(), key=lambda one: str(one[0])):
        if host is None:
            continue
        found = computes.get(host)
        if found is None or host not in snapshot.database.hosts:
            yield Finding(
                'host_unknown', f'The host has {count} instances.', host=host
            )
        elif (reason := service_liveness.down_reason(found)) is not None:
            yield Finding(
                'host_down',
                f'{reason}; the host has {count} instances.',
                host=host,
            )
    for host, service in sorted(computes.items()):
        if service.hypervisor_error is not None and service_liveness.is_up(
            service
        ):
            yield Finding(
                'hypervisor_failed', f'{service.hypervisor_error}.', host=host
            )
    by_name = collections.defaultdict(list)
    for row in snapshot.database.hosts.values():
        by_name[row.hypervisor_hostname].append(row.host)
    for name, hosts in by_name.items():
        if len(hosts) > 1:
            yield Finding(
                'duplicate_hypervisor',
                f'The hosts {" and ".join(sorted(hosts))} report {name}.',
                subject=name,
            )


# -- queues ------------------------------------------------------------------


def expected_queues(services: Iterable[Service]) -> dict[str, str]:
    """Return the queues that must have a consumer, each with its host."""
    wanted = {}
    for service in services:
        topic = _TOPICS.get(service.binary)
        if topic is not None and service_liveness.is_up(service):
            wanted[f'{topic}.{service.host}'] = service.host
    return wanted


def find_queue_faults(
    snapshot: Snapshot, queues: Mapping[str, QueueStats | None]
) -> Iterator[Finding]:
    """Compare the queues of services that are up with the broker's.

    ``queues`` has None for a queue that the broker does not know.
    """
    for name, host in expected_queues(snapshot.database.services).items():
        if name not in queues:
            continue
        queue = queues[name]
        if queue is None:
            yield Finding(
                'queue_missing', f'No queue {name}.', host, subject=name
            )
        elif queue.consumers == 0:
            yield Finding(
                'queue_without_consumer',
                f'The queue {name} has {queue.messages} messages.',
                host,
                subject=name,
            )
        elif queue.messages >= _BACKLOG:
            yield Finding(
                'queue_backlog',
                f'The queue {name} has {queue.messages} messages.',
                host,
                subject=name,
            )
