# SPDX-License-Identifier: Apache-2.0
"""What happens next to the open steps of an operation, as text.

Nothing is stored for it and nothing is decided here: the texts say what the
step life cycle, the sweeper (``recovery``) and the hosts do by themselves.
``service_liveness`` and ``recovery_rules`` give the facts.
"""

import dataclasses
import datetime
from typing import Final

from minova import clock
from minova import flows
from minova.db.connections.engine import Connection
from minova.db.queries import hosts
from minova.db.queries import operations
from minova.db.queries.hosts import Service
from minova.engine import recovery_rules
from minova.engine import service_liveness
from minova.engine.recovery_rules import AtDeadline
from minova.engine.recovery_rules import WithoutHost
from minova.flows.base import AnyComputeStep
from minova.flows.base import AnyStep
from minova.flows.base import ConductorStep
from minova.objects import operation as records


@dataclasses.dataclass(frozen=True)
class NextStep:
    """What happens next to one open step.

    ``at_deadline`` is the effect of the deadline, '' when it has none.
    ``is_running`` says that a host which is up runs the step now.
    """

    step: records.Step
    action: str
    at_deadline: str
    is_running: bool


_RETURNS: Final = 'the step starts when the compute of {host} registers again'
_ROUND: Final = "at the sweeper's next round"

#: The action and the effect of the deadline while the host is down.
_WITHOUT_HOST: Final = {
    WithoutHost.WAIT_DETACHED: (
        f'{_RETURNS}; the operation does not wait for it',
        '',
    ),
    WithoutHost.FINISH: (
        f'{_ROUND} the operation is finished without {{host}}',
        '',
    ),
    WithoutHost.DETACH_UNDO: (
        f'{_ROUND} the operation ends before the step; {_RETURNS}',
        '',
    ),
    WithoutHost.UNWIND: (
        f'{_ROUND} the operation is rolled back, because {{host}} is down',
        '',
    ),
    WithoutHost.WAIT_UNTIL_DEADLINE: (
        _RETURNS,
        'the operation fails; {host} removes the rest on return',
    ),
    WithoutHost.FAIL: (
        f'{_ROUND} the operation fails; {{host}} removes the rest on return',
        '',
    ),
    WithoutHost.WAIT: (
        _RETURNS,
        'the operation keeps waiting: only the host knows what it has done',
    ),
}

_AT_DEADLINE: Final = {
    AtDeadline.LET_FINISH: 'the step is left to finish',
    AtDeadline.DETACH_UNDO: 'the operation ends before the step',
    AtDeadline.GIVE_UP: 'the operation fails and leaves the instance in error',
    AtDeadline.KEEP_STATE: (
        'the operation fails; the instance keeps its state, which power '
        'synchronization corrects'
    ),
    AtDeadline.UNWIND: 'the operation is rolled back',
}


def format_time(value: datetime.datetime) -> str:
    """Return a time as operators read it."""
    return f'{value:%Y-%m-%d %H:%M:%S} UTC'


def predict(
    connection: Connection, operation: records.Operation
) -> list[NextStep]:
    """Return what happens next to each open step."""
    if operation.state != records.RUNNING:
        return []
    services = {
        service.host: service
        for service in hosts.list_services(
            connection, operations.COMPUTE_BINARY
        )
    }
    others = operations.list_open_steps_of_instance(
        connection, operation.instance_uuid
    )
    return [
        _predict_step(step, operation, services.get(str(step.host)), others)
        for step in others
        if step.operation_id == operation.id
    ]


def _predict_step(
    step: records.Step,
    operation: records.Operation,
    service: Service | None,
    others: list[records.Step],
) -> NextStep:
    step_def = flows.get_step(operation.kind, step.method)
    if isinstance(step_def, ConductorStep):
        action = 'a conductor runs it, at the latest at its next round'
        if step.not_before is not None and step.not_before > clock.now():
            when = format_time(step.not_before)
            action = f'a conductor runs it at its first round after {when}'
        return NextStep(
            step,
            action,
            _at_deadline(step, operation, step_def, is_running=False),
            is_running=False,
        )
    if service is None or not service_liveness.is_up(service):
        decision = recovery_rules.without_host(
            step_def, step, operation, clock.now()
        )
        action, at_deadline = (
            text.format(host=step.host) for text in _WITHOUT_HOST[decision]
        )
        return NextStep(step, action, at_deadline, is_running=False)
    is_running = recovery_rules.is_running(step, service.incarnation)
    return NextStep(
        step,
        _when_host_up(step, step_def, is_running, others),
        _at_deadline(step, operation, step_def, is_running),
        is_running,
    )


def _at_deadline(
    step: records.Step,
    operation: records.Operation,
    step_def: AnyStep,
    is_running: bool,
) -> str:
    if step.detached or not operation.owns_instance:
        return ''
    return _AT_DEADLINE[
        recovery_rules.at_deadline(step_def, step, operation, is_running)
    ]


def _when_host_up(
    step: records.Step,
    step_def: AnyComputeStep,
    is_running: bool,
    others: list[records.Step],
) -> str:
    host = step.host
    attempt = f'attempt {step.attempts + 1}'
    if is_running:
        return f'{host} runs it now ({attempt})'
    if step.state == records.RUNNING:
        return f'the restarted compute of {host} resumes it'
    earlier = None if step_def.concurrent else _earlier_step(step, others)
    if earlier is not None:
        return (
            f'{host} first runs {earlier.method} of the earlier operation '
            f'{earlier.operation_id}'
        )
    soon = f'at the next heartbeat of {host}'
    if step.not_before is not None and step.not_before > clock.now():
        return f'{attempt} at {format_time(step.not_before)}, {soon}'
    return f'{attempt} {soon}'


def _earlier_step(
    step: records.Step, others: list[records.Step]
) -> records.Step | None:
    before = [
        other
        for other in others
        if other.operation_id != step.operation_id
        and other.host == step.host
        and other.created_at < step.created_at
    ]
    return min(before, key=lambda other: other.created_at, default=None)
