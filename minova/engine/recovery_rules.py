# SPDX-License-Identifier: Apache-2.0
"""What happens to an open step without its host, or past the deadline.

``recovery`` acts on the answers and ``next_steps`` predicts with them, so that
what an operator reads is what the sweeper does. Nothing is read or written.
"""

import datetime
import enum

from minova import flows
from minova.flows.base import AnyComputeStep
from minova.flows.base import AnyStep
from minova.flows.base import ConductorStep
from minova.objects import operation as records


class WithoutHost(enum.Enum):
    """What happens to a step while its host is down."""

    WAIT_DETACHED = 'the step waits for the host, the operation does not'
    FINISH = 'the operation is finished without the host'
    DETACH_UNDO = 'the operation is finished before the undo step'
    UNWIND = 'the step never started: the operation is rolled back'
    WAIT_UNTIL_DEADLINE = 'the operation waits for the host to return'
    FAIL = 'the deadline has passed: the operation fails'
    WAIT = 'the operation waits for the host, past its deadline too'


class AtDeadline(enum.Enum):
    """What happens to a step, of a host that is up, past the deadline."""

    LET_FINISH = 'the step is left to finish'
    DETACH_UNDO = 'the operation is finished before the undo step'
    GIVE_UP = 'the operation fails and leaves the instance in error'
    KEEP_STATE = 'the operation fails, and power synchronization corrects'
    UNWIND = 'the operation is rolled back'


def is_running(step: records.Step, incarnation: str | None) -> bool:
    """Tell whether ``incarnation``, the newest of the service, runs a step."""
    return step.state == records.RUNNING and step.incarnation == incarnation


def without_host(
    step_def: AnyComputeStep,
    step: records.Step,
    operation: records.Operation,
    now: datetime.datetime,
) -> WithoutHost:
    """Return what happens at ``now`` to a step whose host is down."""
    if step.detached:
        return WithoutHost.WAIT_DETACHED
    if not operation.owns_instance:
        return _without_host_of_concurrent(step_def, step, operation, now)
    if step_def.can_finish_without_host:
        return WithoutHost.FINISH
    if step.undoes is not None and step_def.is_deferrable(step):
        return WithoutHost.DETACH_UNDO
    never_started = step.started_at is None and not step.nested
    if never_started and not step_def.must_succeed(step):
        return WithoutHost.UNWIND
    if not step_def.fail_at_deadline:
        return WithoutHost.WAIT
    if now > operation.deadline:
        return WithoutHost.FAIL
    return WithoutHost.WAIT_UNTIL_DEADLINE


def _without_host_of_concurrent(
    step_def: AnyComputeStep,
    step: records.Step,
    operation: records.Operation,
    now: datetime.datetime,
) -> WithoutHost:
    """Return what happens to a step beside the owner of the instance."""
    if not step_def.fail_at_deadline or step.undoes is not None:
        return WithoutHost.WAIT_DETACHED
    if now > operation.deadline:
        return WithoutHost.FAIL
    return WithoutHost.WAIT_UNTIL_DEADLINE


def at_deadline(
    step_def: AnyStep,
    step: records.Step,
    operation: records.Operation,
    is_running: bool,
) -> AtDeadline:
    """Return what happens to a step once the deadline has passed.

    ``is_running`` says that a service which is up runs the step.
    """
    if is_running or step.detached or not operation.owns_instance:
        return AtDeadline.LET_FINISH
    if isinstance(step_def, ConductorStep):
        return AtDeadline.UNWIND
    if step.undoes is not None and step_def.is_deferrable(step):
        return AtDeadline.DETACH_UNDO
    if step_def.must_succeed(step):
        if flows.FLOWS[operation.kind].is_self_correcting:
            return AtDeadline.KEEP_STATE
        return AtDeadline.GIVE_UP
    return AtDeadline.UNWIND
