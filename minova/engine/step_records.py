# SPDX-License-Identifier: Apache-2.0
"""Records of steps: locks, changes, and the wake-ups for them."""

import dataclasses
from typing import Any
from typing import TypeVar

import sqlalchemy as sa

from minova import exception
from minova.db.queries import operations
from minova.objects import operation as records
from minova.objects.step import Wakeup

T = TypeVar('T', records.Operation, records.Step)


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


def copy_of(step: records.Step) -> records.Step:
    """Return a copy with own containers for the fields changed in place."""
    return dataclasses.replace(
        step,
        checkpoints=list(step.checkpoints),
        open_events=list(step.open_events),
    )


def difference(before: T, after: T) -> dict[str, Any]:
    """Return the columns that differ, with the values of ``after``."""
    old, new = vars(before), vars(after)
    return {name: new[name] for name in new if new[name] != old[name]}
