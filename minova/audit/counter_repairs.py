# SPDX-License-Identifier: Apache-2.0
"""Repairs of allocations, host usage and sequence numbers."""

import sqlalchemy as sa

from minova import clock
from minova import exception
from minova import states
from minova.audit.findings import Finding
from minova.audit.preconditions import lock_instance
from minova.audit.preconditions import stale_error
from minova.db import tables
from minova.db.connections.engine import Connection
from minova.db.queries import hosts
from minova.db.queries import instances
from minova.db.queries import operations
from minova.engine import placements
from minova.objects import operation as records


def add_allocation(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Add the allocation of an instance on its host.

    The guest uses the resources already, so the host's capacity is ignored.
    """
    instance, host = lock_instance(connection, finding), str(finding.host)
    free = instance.task_id is None and instance.vm_state != states.DELETED
    if not free or instance.host != host or finding.resources is None:
        raise stale_error(f'Instance {instance.uuid}')
    placements.restore(
        connection, instance, host, instance.uuid, finding.resources
    )
    return f'An allocation of {finding.resources} on {host} is added.'


def remove_allocation(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Remove an allocation that its consumer does not need."""
    consumer, uuid = finding.subject, str(finding.instance)
    if finding.generation is not None:
        instance = lock_instance(connection, finding)
        owned = consumer == uuid and instance.host == finding.host
        exists = instance.vm_state != states.DELETED
        if instance.task_id is not None or (owned and exists):
            raise stale_error(f'Instance {uuid}')
    operation = operations.get(connection, consumer)
    if operation is not None and operation.state == records.RUNNING:
        raise stale_error(f'Instance {uuid}')
    hosts.release(connection, uuid, finding.host, consumer)
    return f'The allocation on {finding.host} is removed.'


def resize_allocation(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Resize an allocation to the flavor."""
    instance, host = lock_instance(connection, finding), str(finding.host)
    if instance.task_id is not None or finding.resources is None:
        raise stale_error(f'Instance {instance.uuid}')
    placements.restore(
        connection, instance, host, finding.subject, finding.resources
    )
    return f'The allocation is now {finding.resources}.'


def replace_placement(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Choose other cells and CPUs for an instance that has no valid ones."""
    instance, host = lock_instance(connection, finding), str(finding.host)
    if instance.task_id is not None or finding.subject != instance.uuid:
        raise stale_error(f'Instance {instance.uuid}')
    if placements.replace(connection, instance, host):
        return 'Other CPUs are claimed; hard-reboot the server to use them.'
    raise exception.NoValidHost.of_hosts({host: 'no NUMA cell is free'})


def recompute_host_usage(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Set the usage of a host to the sum of its allocations."""
    hosts.recompute_usage(connection, str(finding.host))
    return 'The usage is recomputed from the allocations.'


def advance_notification_seq(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Advance the sequence number of an instance to the outbox."""
    instance = lock_instance(connection, finding)
    outbox = tables.outbox
    newest = connection.execute(
        sa.select(sa.func.max(outbox.c.seq)).where(
            outbox.c.instance_uuid == instance.uuid
        )
    ).scalar()
    if newest is None or newest <= instance.notification_seq:
        raise stale_error(f'Instance {instance.uuid}')
    values = {'notification_seq': newest, 'updated_at': clock.now()}
    if not instances.update(
        connection,
        instance.uuid,
        values,
        generation=instance.generation,
        task_id=instance.task_id,
    ):
        raise stale_error(f'Instance {instance.uuid}')
    return f'The sequence number is now {newest}.'
