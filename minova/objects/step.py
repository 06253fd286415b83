# SPDX-License-Identifier: Apache-2.0
"""The messages of a conductor and a compute about a step."""

from typing import Any

from minova.objects import base
from minova.objects import instance as instance_object
from minova.objects import migration as migration_object
from minova.objects.checkpoints import Checkpoint
from minova.objects.operation_params import OperationParams
from minova.objects.step_args import StepArgs
from minova.objects.step_results import StepResult


@base.register
class StepAssignment(base.Object):
    """The answer to ``start_step``: everything that the step needs.

    ``verdict`` is 'run'; 'first' when the compute must run the steps in
    ``prerequisites`` before; 'later' when the next attempt is not due yet;
    'done', 'failed' or 'undone' when the step has ended, with its ``result``
    or ``error``. ``is_resumed``: an earlier start of the service began the
    step, so its effects must be probed. ``checkpoints`` holds the checkpoints
    already passed, each with the facts saved there; ``nested_steps`` the ids
    of the steps that it may call, by method. ``request_context`` is the
    context of the request that began the operation. ``placement`` is where
    the guest is in the NUMA cells of the host (``numa.Placement``), None for
    any cell.
    """

    VERSION = '1.0'

    step: str
    method: str
    verdict: str
    prerequisites: list[str]
    result: StepResult | None
    error: dict[str, Any] | None
    nested_steps: dict[str, str]
    is_resumed: bool
    checkpoints: list[Checkpoint]
    args: StepArgs
    kind: str
    operation: str
    generation: int
    request_context: dict[str, Any]
    params: OperationParams
    old_vm_state: str
    seconds_left: float
    instance: instance_object.Instance
    migration: migration_object.Migration | None
    placement: dict[str, Any] | None


@base.register
class Wakeup(base.Object):
    """A step that became pending: cast ``method`` to ``host``."""

    VERSION = '1.0'

    step: str
    method: str
    topic: str
    host: str | None


@base.register
class StepAck(base.Object):
    """The answer to the end of a step: the wake-ups that the caller sends."""

    VERSION = '1.0'

    wakeups: list[Wakeup]


@base.register
class DueStep(base.Object):
    """A pending step of a host."""

    VERSION = '1.0'

    step: str
    method: str
    instance_uuid: str
