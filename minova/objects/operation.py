# SPDX-License-Identifier: Apache-2.0
"""An operation and its steps, as the database holds them.

Neither is sent: a compute gets the parts that it needs in a StepAssignment.
"""

import dataclasses
import datetime
from typing import Any

from minova.objects.checkpoints import Checkpoint
from minova.objects.operation_params import OperationParams
from minova.objects.step_args import StepArgs
from minova.objects.step_results import StepResult

Json = dict[str, Any]

# -- the states of an operation ---------------------------------------------
RUNNING = 'running'
DONE = 'done'
FAILED = 'failed'
ROLLED_BACK = 'rolled_back'
PREEMPTED = 'preempted'

# -- the states of a step ---------------------------------------------------
PENDING = 'pending'
UNDONE = 'undone'
#: A step in one of these states has not ended.
OPEN = (PENDING, RUNNING)
#: The steps that may wait for long and for another service than the host: the
#: other steps of the host do not wait for them.
UNBLOCKING_METHODS = ('discard_image',)


@dataclasses.dataclass
class Operation:
    """One request on one instance.

    ``owns_instance``: the instance's task_id is the id of this operation.
    ``outcome`` is the state in which the operation ends when its last step
    ends: an operation may release the instance and still have clean-up steps,
    which ``open_step_count`` counts. ``error`` is the wire form of the error
    that made it fail. ``wait_reason`` names the event that the operation waits
    for, ``waiting_since`` the start of that wait. ``incidents`` counts the
    retries and recovery decisions, as ``engine.operation_log`` logs them.
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
    params: OperationParams
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
    """One RPC method that one service runs once within an operation.

    ``host`` is None for a step of the conductor, which any replica may run.
    ``undoes`` is the id of the step that this one undoes. Another step calls a
    ``nested`` one; the operation does not wait for a ``detached`` one.
    ``checkpoints`` holds the checkpoints that the step has passed, each with
    the facts that it saved; ``open_events`` the notifications that it has
    started and not ended. ``attempts`` counts its failed attempts,
    ``not_before`` is the time of the next one.
    """

    id: str
    operation_id: str
    instance_uuid: str
    number: int
    method: str
    topic: str
    host: str | None
    args: StepArgs
    state: str
    undoes: str | None
    nested: bool
    detached: bool
    incarnation: str | None
    checkpoints: list[Checkpoint]
    open_events: list[str]
    attempts: int
    result: StepResult | None
    error: Json | None
    not_before: datetime.datetime | None
    created_at: datetime.datetime
    started_at: datetime.datetime | None
    finished_at: datetime.datetime | None
