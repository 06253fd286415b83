# SPDX-License-Identifier: Apache-2.0
"""Records of steps: how they are locked, and the wake-ups for them."""

import sqlalchemy as sa

from minova import exception
from minova.db.queries import operations
from minova.objects import operation as records
from minova.objects.step import Wakeup


def wakeup_for(step: records.Step) -> Wakeup:
    """Return the wake-up for the service that is to run ``step``."""
    return Wakeup(
        step=step.id, method=step.method, topic=step.topic, host=step.host
    )


def load(connection: sa.Connection, step_id: str) -> operations.LockedStep:
    """Lock a step with its operation and instance.

    Raises Stale when there is no such step.
    """
    loaded = operations.lock_step(connection, step_id)
    if loaded is None:
        raise exception.Stale(what=f'Step {step_id}', holder='any service')
    return loaded


def pending_wakeups(
    connection: sa.Connection, operation: records.Operation
) -> list[Wakeup]:
    """Return the wake-ups for all open steps of an operation.

    A caller that repeats a finished request has lost the answer, and may have
    lost these wake-ups with it.
    """
    return [
        wakeup_for(step)
        for step in operations.list_steps(connection, operation.id)
        if step.state in records.OPEN and not step.nested
    ]


def stale(operation: records.Operation) -> exception.Stale:
    """Return the error for a writer that no longer owns the instance."""
    return exception.Stale(
        what=f'Instance {operation.instance_uuid}',
        holder=f'{operation.kind} {operation.id}',
    )
