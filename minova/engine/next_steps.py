# SPDX-License-Identifier: Apache-2.0
"""The outlook: what happens next to what is open, read from the records.

Nothing is kept for it and nothing is decided here: it says in words what the
baton, the sweeper (``overdue``) and the hosts will do by themselves. Whether a
host is up is what the database's clock says of its compute.
"""

import dataclasses
import datetime

from minova import clock
from minova import flows
from minova.conf import CONF
from minova.db.connections.engine import Connection
from minova.db.queries import hosts
from minova.db.queries import operations
from minova.db.queries.hosts import Service
from minova.flows.base import ComputeStep
from minova.flows.base import ConductorStep
from minova.objects import operation as records


@dataclasses.dataclass(frozen=True)
class NextStep:
    """What happens next to one open step.

    ``late`` says what becomes of it when the deadline passes, '' when the
    deadline changes nothing. ``at_work`` says that a host which is up has it
    in hand right now.
    """

    step: records.Step
    action: str
    at_deadline: str
    is_running: bool


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
        text = 'a conductor decides it, at the latest at its next round'
        return NextStep(step, text, 'it is taken back', False)
    down = CONF.conductor.service_down_time
    if service is None or not service.is_up(down):
        text, late = _when_host_down(step, operation, step_def)
        return NextStep(step, text, late, False)
    at_work = (
        step.state == records.RUNNING
        and step.incarnation == service.incarnation
    )
    return NextStep(
        step,
        _when_host_up(step, step_def, at_work, others),
        _at_deadline(step, operation, step_def, at_work),
        at_work,
    )


# -- its host is down --------------------------------------------------------


def _when_host_down(
    step: records.Step, operation: records.Operation, step_def: ComputeStep
) -> tuple[str, str]:
    """Return what happens meanwhile and at the deadline; see ``overdue``."""
    host = step.host
    returns = f'it is taken up when the compute of {host} registers again'
    round_ = "at the sweeper's next round"
    if step.detached or not operation.owns_instance:
        return f'{returns}; nobody waits for it', ''
    if type(step_def).on_host_down is not ComputeStep.on_host_down:
        return f'{round_} the operation goes on without {host}', ''
    if step.undoes is not None and step_def.deferrable:
        return f'{round_} the operation ends without it; {returns}', ''
    never_began = step.started_at is None and not step.nested
    if never_began and not step_def.must_succeed(step):
        return f'{round_} it is taken from {host}, which is down', ''
    if step_def.fail_at_deadline:
        late = 'the operation fails; what is left is removed when the host'
        return returns, f'{late} returns'
    return returns, 'it waits on, for only the host can tell what it did'


# -- its host is up ----------------------------------------------------------


def _when_host_up(
    step: records.Step,
    step_def: ComputeStep,
    is_running: bool,
    others: list[records.Step],
) -> str:
    host = step.host
    attempt = f'attempt {step.attempts + 1}'
    if is_running:
        return f'{host} has it at work ({attempt})'
    if step.state == records.RUNNING:
        return f'the new start of {host} takes it up again'
    earlier = None if step_def.concurrent else _earlier_step(step, others)
    if earlier is not None:
        return (
            f'{host} first does {earlier.method} of the earlier operation '
            f'{earlier.operation_id}'
        )
    soon = f'with the next sign of life of {host}'
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


def _at_deadline(
    step: records.Step,
    operation: records.Operation,
    step_def: ComputeStep,
    is_running: bool,
) -> str:
    if step.detached or not operation.owns_instance:
        return ''
    if is_running:
        return 'it is left to end by itself'
    if step_def.must_succeed(step):
        return 'the operation gives up and leaves the instance in error'
    return 'the operation is taken back'
