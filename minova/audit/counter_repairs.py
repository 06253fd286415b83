# SPDX-License-Identifier: Apache-2.0
"""Repairs of numbers: room on hosts, counts of notifications."""

import sqlalchemy as sa

from minova import clock
from minova import states
from minova.audit.findings import Finding
from minova.audit.preconditions import lock_instance
from minova.audit.preconditions import stale_error
from minova.db import tables
from minova.db.connections.engine import Connection
from minova.db.queries import hosts
from minova.db.queries import instances
from minova.db.queries import operations
from minova.objects import operation as records


def add_allocation(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Note the room that an instance takes on its host.

    The guest is there: it is noted although the host may be full.
    """
    instance, host = lock_instance(connection, finding), str(finding.host)
    free = instance.task_id is None and instance.vm_state != states.DELETED
    if not free or instance.host != host:
        raise stale_error(instance.uuid)
    vcpus, memory_mb, disk_gb = finding.repair_args['resources']
    resources = vcpus, memory_mb, disk_gb
    hosts.set_allocation(
        connection, host, instance.uuid, instance.uuid, resources
    )
    return f'Room on {host} is held for it.'


def remove_allocation(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Give back room that nobody needs."""
    consumer, uuid = (
        str(finding.repair_args['consumer']),
        str(finding.instance),
    )
    if finding.generation is not None:
        instance = lock_instance(connection, finding)
        owned = consumer == uuid and instance.host == finding.host
        living = instance.vm_state != states.DELETED
        if instance.task_id is not None or (owned and living):
            raise stale_error(uuid)
    operation = operations.get(connection, consumer)
    if operation is not None and operation.state == records.RUNNING:
        raise stale_error(uuid)
    hosts.release(connection, uuid, finding.host, consumer)
    return f'Room on {finding.host} is given back.'


def resize_allocation(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Let what is held be of the flavor's size."""
    instance, host = lock_instance(connection, finding), str(finding.host)
    if instance.task_id is not None:
        raise stale_error(instance.uuid)
    vcpus, memory_mb, disk_gb = finding.repair_args['resources']
    resources = vcpus, memory_mb, disk_gb
    consumer = str(finding.repair_args['consumer'])
    hosts.set_allocation(connection, host, instance.uuid, consumer, resources)
    return f'{vcpus} vcpus, {memory_mb} MiB, {disk_gb} GiB are held.'


def recompute_host_usage(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Sum up what is held on a host."""
    hosts.recompute_usage(connection, str(finding.host))
    return 'Its allocations are summed up anew.'


def advance_notification_seq(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Let the next notification of an instance bear a number that is free."""
    instance = lock_instance(connection, finding)
    box = tables.outbox
    newest = connection.execute(
        sa.select(sa.func.max(box.c.seq)).where(
            box.c.instance_uuid == instance.uuid
        )
    ).scalar()
    if newest is None or newest <= instance.notification_seq:
        raise stale_error(instance.uuid)
    values = {'notification_seq': newest, 'updated_at': clock.now()}
    if not instances.update(
        connection,
        instance.uuid,
        values,
        generation=instance.generation,
        task_id=instance.task_id,
    ):
        raise stale_error(instance.uuid)
    return f'The next one will be number {newest + 1}.'
