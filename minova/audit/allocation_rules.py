# SPDX-License-Identifier: Apache-2.0
"""Rules about allocations: who holds room where, and what it sums to.

An allocation is explained by its consumer: the instance itself on its own host,
an operation that runs, or a move that waits or is being confirmed or
reverted; on any host by an open step there, whose end gives it back.
"""

from collections.abc import Iterator

from minova import states
from minova.audit.findings import Finding
from minova.audit.snapshot import Snapshot
from minova.db.queries.audit_snapshot import Allocation
from minova.db.queries.audit_snapshot import InstanceRow
from minova.objects.flavor import Flavor

Resources = tuple[int, int, int]


def find(snapshot: Snapshot) -> Iterator[Finding]:
    """Compare allocations with who needs them, and with their sums."""
    for allocation in snapshot.database.allocations:
        found = _check_allocation(snapshot, allocation)
        if found is not None:
            yield found
    yield from _check_missing(snapshot)
    for row in snapshot.database.hosts.values():
        if row.used != row.allocated:
            yield Finding(
                'host_usage_mismatch',
                f'It is said to use {_describe(row.used)}; held are '
                f'{_describe(row.allocated)}.',
                host=row.host,
            )


def _check_allocation(
    snapshot: Snapshot, allocation: Allocation
) -> Finding | None:
    uuid, host = allocation.instance_uuid, allocation.host
    instance = snapshot.database.instances.get(uuid)
    if instance is not None and snapshot.get_owner(instance) is not None:
        return None
    if (
        snapshot.has_open_step(uuid, host)
        or allocation.consumer in snapshot.running_operations
    ):
        return None
    wanted = _expected_resources(snapshot, allocation, instance)
    if wanted is None:
        return _orphan_finding(allocation, instance)
    if wanted == allocation.resources:
        return None
    return Finding(
        'allocation_mismatch',
        f'Held are {_describe(allocation.resources)}, the flavor has {_describe(wanted)}.',
        host=host,
        instance=uuid,
        generation=instance.generation if instance else None,
        subject=allocation.consumer,
        repair_args={
            'consumer': allocation.consumer,
            'resources': list(wanted),
        },
    )


def _expected_resources(
    snapshot: Snapshot, allocation: Allocation, instance: InstanceRow | None
) -> Resources | None:
    """Return what its consumer needs there; None when it needs nothing."""
    if instance is None or instance.vm_state == states.DELETED:
        return None
    if allocation.consumer == instance.uuid:
        own = allocation.host == instance.host
        return flavor_resources(instance.flavor) if own else None
    for migration in snapshot.database.migrations:
        if (
            migration.uuid != allocation.consumer
            or migration.source_host != allocation.host
        ):
            continue
        waits = snapshot.waiting_migrations.get(instance.uuid) is migration
        if waits or snapshot.is_in_progress(migration):
            return flavor_resources(migration.old_flavor)
    return None


def _orphan_finding(
    allocation: Allocation, instance: InstanceRow | None
) -> Finding:
    if instance is None:
        why = 'there is no such instance'
    elif instance.vm_state == states.DELETED:
        why = 'the instance is deleted'
    elif allocation.consumer == instance.uuid:
        why = f'the instance is on {instance.host or "no host"}'
    else:
        why = f'{allocation.consumer} is no operation that runs, nor a move that waits'
    return Finding(
        'allocation_orphan',
        f'Held are {_describe(allocation.resources)}; {why}.',
        host=allocation.host,
        instance=allocation.instance_uuid,
        generation=instance.generation if instance else None,
        subject=allocation.consumer,
        repair_args={'consumer': allocation.consumer},
    )


def _check_missing(snapshot: Snapshot) -> Iterator[Finding]:
    allocation = {
        (one.instance_uuid, one.host)
        for one in snapshot.database.allocations
        if one.consumer == one.instance_uuid
    }
    for instance in snapshot.list_existing():
        host = instance.host
        if host is None or host not in snapshot.database.hosts:
            continue
        if (instance.uuid, host) in allocation or snapshot.get_owner(
            instance
        ) is not None:
            continue
        yield Finding(
            'allocation_missing',
            f'Its flavor needs {_describe(flavor_resources(instance.flavor))}.',
            host=host,
            instance=instance.uuid,
            generation=instance.generation,
            repair_args={'resources': list(flavor_resources(instance.flavor))},
        )


def flavor_resources(flavor: Flavor) -> Resources:
    """Return the room that a flavor takes."""
    return flavor.vcpus, flavor.memory_mb, flavor.disk_gb


def _describe(resources: Resources) -> str:
    vcpus, memory_mb, disk_gb = resources
    return f'{vcpus} vcpus, {memory_mb} MiB, {disk_gb} GiB'
