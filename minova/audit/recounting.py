# SPDX-License-Identifier: Apache-2.0
"""Repairs of numbers: room on hosts, counts of notifications."""

import sqlalchemy as sa

from minova import clock
from minova import states
from minova.audit.fence import lock
from minova.audit.fence import moved_on
from minova.audit.findings import Finding
from minova.db import hosts
from minova.db import instances
from minova.db import operations
from minova.db import tables
from minova.db.engine import Connection
from minova.objects import operation as records


def claim(connection: Connection, finding: Finding, publisher: str) -> str:
    """Note the room that an instance takes on its host.

    The guest is there: it is noted although the host may be full.
    """
    instance, host = lock(connection, finding), str(finding.host)
    free = instance.task_id is None and instance.vm_state != states.DELETED
    if not free or instance.host != host:
        raise moved_on(instance.uuid)
    vcpus, memory_mb, disk_gb = finding.facts['sizes']
    room = vcpus, memory_mb, disk_gb
    hosts.hold(connection, host, instance.uuid, instance.uuid, room)
    return f'Room on {host} is held for it.'


def release(connection: Connection, finding: Finding, publisher: str) -> str:
    """Give back room that nobody needs."""
    holder, uuid = str(finding.facts['holder']), str(finding.instance)
    if finding.generation is not None:
        instance = lock(connection, finding)
        owned = holder == uuid and instance.host == finding.host
        living = instance.vm_state != states.DELETED
        if instance.task_id is not None or (owned and living):
            raise moved_on(uuid)
    operation = operations.get(connection, holder)
    if operation is not None and operation.state == records.RUNNING:
        raise moved_on(uuid)
    hosts.release(connection, uuid, finding.host, holder)
    return f'Room on {finding.host} is given back.'


def resize_claim(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Let what is held be of the flavor's size."""
    instance, host = lock(connection, finding), str(finding.host)
    if instance.task_id is not None:
        raise moved_on(instance.uuid)
    vcpus, memory_mb, disk_gb = finding.facts['sizes']
    room = vcpus, memory_mb, disk_gb
    holder = str(finding.facts['holder'])
    hosts.hold(connection, host, instance.uuid, holder, room)
    return f'{vcpus} vcpus, {memory_mb} MiB, {disk_gb} GiB are held.'


def recount_host(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Sum up what is held on a host."""
    hosts.recount(connection, str(finding.host))
    return 'Its allocations are summed up anew.'


def renumber(connection: Connection, finding: Finding, publisher: str) -> str:
    """Let the next notification of an instance bear a number that is free."""
    instance = lock(connection, finding)
    box = tables.outbox
    newest = connection.execute(
        sa.select(sa.func.max(box.c.seq)).where(
            box.c.instance_uuid == instance.uuid
        )
    ).scalar()
    if newest is None or newest <= instance.notification_seq:
        raise moved_on(instance.uuid)
    values = {'notification_seq': newest, 'updated_at': clock.now()}
    if not instances.update(
        connection,
        instance.uuid,
        values,
        generation=instance.generation,
        task_id=instance.task_id,
    ):
        raise moved_on(instance.uuid)
    return f'The next one will be number {newest + 1}.'
