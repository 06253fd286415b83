# SPDX-License-Identifier: Apache-2.0
"""An operation and its steps, as the database holds them.

These two do not travel: what a compute needs of them is in its ticket.
"""

import dataclasses
import datetime
from typing import Any

Json = dict[str, Any]

# -- what an operation's state may be ----------------------------------------
RUNNING = 'running'
DONE = 'done'
FAILED = 'failed'
ROLLED_BACK = 'rolled_back'
PREEMPTED = 'preempted'

# -- what a step's state may be ----------------------------------------------
PENDING = 'pending'
UNDONE = 'undone'
#: A step in one of these is still to be worked off.
OPEN = (PENDING, RUNNING)


@dataclasses.dataclass
class Operation:
    """One thing asked of one instance.

    ``owns_instance`` says whether the instance's task_id still names it. ``outcome``
    is the state it will end in once nothing of it is open_step_count: an
    operation may let go of the instance and still have cleaning up to do.
    ``error`` is the wire form of what made it fail. ``wait_reason`` says what
    it waits for, ``waiting_since`` when that waiting began. ``incidents`` counts
    what was decided about it that is not its plain course; see
    ``operations.journal``.
    """

    id: str
    instance_uuid: str
    kind: str
    generation: int
    state: str
    owns_instance: bool
    outcome: str | None
    unwinding: bool
    old_vm_state: str
    open_step_count: int
    request_id: str
    user_id: str | None
    project_id: str | None
    context: Json
    params: Json
    error: Json | None
    wait_reason: str | None
    waiting_since: datetime.datetime | None
    incidents: int
    deadline: datetime.datetime
    started_at: datetime.datetime
    updated_at: datetime.datetime
    finished_at: datetime.datetime | None


@dataclasses.dataclass
class Step:
    """One RPC method to be run once, by one service, within an operation.

    ``host`` is None for a step of the conductor, which any replica may run.
    ``undoes`` names the step that this one takes back. A ``nested`` one is
    called by another step; for a ``detached`` one the operation's course does
    not wait. ``checkpoints`` holds the checkpoints it has passed, each with the
    facts checkpoints there; ``open_events`` the notifications that it has started and
    not ended. ``attempts`` counts how often it was begun anew after
    an error, ``not_before`` says when that may happen next.
    """

    id: str
    operation_id: str
    instance_uuid: str
    number: int
    method: str
    topic: str
    host: str | None
    args: Json
    state: str
    undoes: str | None
    nested: bool
    detached: bool
    incarnation: str | None
    checkpoints: dict[str, Json]
    open_events: list[str]
    attempts: int
    result: Json | None
    error: Json | None
    not_before: datetime.datetime | None
    created_at: datetime.datetime
    started_at: datetime.datetime | None
    finished_at: datetime.datetime | None
