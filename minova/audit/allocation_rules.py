# SPDX-License-Identifier: Apache-2.0
"""Rules about allocations: their consumers, amounts and sums.

An allocation is explained by its consumer: the instance itself on its own
host, a running operation, or a migration that is unconfirmed or is being
confirmed or reverted. An open step on the host explains it too: the end of
the step releases it.
"""

from collections.abc import Iterator

from minova import states
from minova.audit.findings import Finding
from minova.audit.snapshot import Snapshot
from minova.db.queries.audit_snapshot import Allocation
from minova.db.queries.audit_snapshot import InstanceRow
from minova.db.queries.hosts import Resources
from minova.engine import placements


def find(snapshot: Snapshot) -> Iterator[Finding]:
    """Compare allocations with their consumers, and usage with their sums."""
    for allocation in snapshot.database.allocations:
        found = _check_allocation(snapshot, allocation)
        if found is not None:
            yield found
    yield from _check_missing(snapshot)
    for row in snapshot.database.hosts.values():
        if row.used != row.allocated:
            yield Finding(
                'host_usage_mismatch',
                f'The usage is {row.used}, the allocations sum to '
                f'{row.allocated}.',
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
        return _orphan_finding(snapshot, allocation, instance)
    if wanted == allocation.resources:
        return None
    return snapshot.instance_finding(
        'allocation_mismatch',
        f'The allocation is {allocation.resources}, the flavor has {wanted}.',
        uuid,
        host=host,
        subject=allocation.consumer,
        resources=wanted,
    )


def _expected_resources(
    snapshot: Snapshot, allocation: Allocation, instance: InstanceRow | None
) -> Resources | None:
    """Return what the consumer needs there; None if it needs nothing."""
    if instance is None or instance.vm_state == states.DELETED:
        return None
    if allocation.consumer == instance.uuid:
        if allocation.host != instance.host:
            return None
        return placements.resources_of(instance.flavor, instance.image_meta)
    for migration in snapshot.database.migrations:
        if (
            migration.uuid != allocation.consumer
            or migration.source_host != allocation.host
        ):
            continue
        waits = snapshot.waiting_migrations.get(instance.uuid) is migration
        if waits or snapshot.is_in_progress(migration):
            return placements.resources_of(
                migration.old_flavor, instance.image_meta
            )
    return None


def _orphan_finding(
    snapshot: Snapshot, allocation: Allocation, instance: InstanceRow | None
) -> Finding:
    if instance is None:
        why = 'the instance is unknown'
    elif instance.vm_state == states.DELETED:
        why = 'the instance is deleted'
    elif allocation.consumer == instance.uuid:
        why = f'the instance is on {instance.host or "no host"}'
    else:
        why = (
            f'the consumer {allocation.consumer} is neither a running '
            'operation nor an unconfirmed migration'
        )
    return snapshot.instance_finding(
        'allocation_orphan',
        f'The allocation is {allocation.resources}; {why}.',
        allocation.instance_uuid,
        host=allocation.host,
        subject=allocation.consumer,
    )


def _check_missing(snapshot: Snapshot) -> Iterator[Finding]:
    own_allocations = {
        (one.instance_uuid, one.host)
        for one in snapshot.database.allocations
        if one.consumer == one.instance_uuid
    }
    for instance in snapshot.list_existing():
        host = instance.host
        if host is None or host not in snapshot.database.hosts:
            continue
        if (instance.uuid, host) in own_allocations:
            continue
        if snapshot.get_owner(instance) is not None:
            continue
        wanted = placements.resources_of(instance.flavor, instance.image_meta)
        yield snapshot.instance_finding(
            'allocation_missing',
            f'The flavor needs {wanted}.',
            instance.uuid,
            host=host,
            resources=wanted,
        )
