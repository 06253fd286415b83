# SPDX-License-Identifier: Apache-2.0
"""Repairs of what a vm_state needs in the row of its instance."""

from minova import clock
from minova import states
from minova.audit.findings import Finding
from minova.audit.preconditions import lock_instance
from minova.audit.preconditions import stale_error
from minova.db.connections.engine import Connection
from minova.db.queries import instances


def date_soft_delete(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Let the time in which a server can be restored begin now."""
    instance = lock_instance(connection, finding)
    if instance.vm_state != states.SOFT_DELETE or instance.deleted_at:
        raise stale_error(f'Instance {instance.uuid}')
    now = clock.now()
    if not instances.update(
        connection,
        instance.uuid,
        {'deleted_at': now, 'updated_at': now},
        generation=instance.generation,
        task_id=instance.task_id,
    ):
        raise stale_error(f'Instance {instance.uuid}')
    return 'The server counts as soft-deleted now, and is reclaimed later.'
