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
from minova.db import hosts
from minova.db import operations
from minova.db.engine import Connection
from minova.db.hosts import Service
from minova.flows.chain import Decision
from minova.flows.chain import HostStep
from minova.objects import operation as records


@dataclasses.dataclass(frozen=True)
class Prospect:
    """What happens next to one open step.

    ``late`` says what becomes of it when the deadline passes, '' when the
    deadline changes nothing. ``at_work`` says that a host which is up has it
    in hand right now.
    """

    step: records.Step
    next: str
    late: str
    at_work: bool


def moment(value: datetime.datetime) -> str:
    """Return a time as operators read it."""
    return f'{value:%Y-%m-%d %H:%M:%S} UTC'


def of(connection: Connection, operation: records.Operation) -> list[Prospect]:
    """Return what happens next to each open step."""
    if operation.state != records.RUNNING:
        return []
    services = {
        service.host: service
        for service in hosts.services(connection, operations.COMPUTE)
    }
    others = operations.open_steps_of(connection, operation.instance_uuid)
    return [
        _prospect(step, operation, services.get(str(step.host)), others)
        for step in others
        if step.operation_id == operation.id
    ]


def _prospect(
    step: records.Step,
    operation: records.Operation,
    service: Service | None,
    others: list[records.Step],
) -> Prospect:
    work = flows.step_of(operation.kind, step.method)
    if isinstance(work, Decision):
        text = 'a conductor decides it, at the latest at its next round'
        return Prospect(step, text, 'it is taken back', False)
    down = CONF.conductor.service_down_time
    if service is None or not service.is_up(down):
        text, late = _without_host(step, operation, work)
        return Prospect(step, text, late, False)
    at_work = (
        step.state == records.RUNNING
        and step.incarnation == service.incarnation
    )
    return Prospect(
        step,
        _by_host(step, work, at_work, others),
        _when_late(step, operation, work, at_work),
        at_work,
    )


# -- its host is down --------------------------------------------------------


def _without_host(
    step: records.Step, operation: records.Operation, work: HostStep
) -> tuple[str, str]:
    """Return what happens meanwhile and at the deadline; see ``overdue``."""
    host = step.host
    returns = f'it is taken up when the compute of {host} registers again'
    round_ = "at the sweeper's next round"
    if step.detached or not operation.owns:
        return f'{returns}; nobody waits for it', ''
    if type(work).host_is_down is not HostStep.host_is_down:
        return f'{round_} the operation goes on without {host}', ''
    if step.undoes is not None and work.can_wait:
        return f'{round_} the operation ends without it; {returns}', ''
    never_began = step.started_at is None and not step.nested
    if never_began and not work.must_succeed(step):
        return f'{round_} it is taken from {host}, which is down', ''
    if work.abandons:
        late = 'the operation fails; what is left is removed when the host'
        return returns, f'{late} returns'
    return returns, 'it waits on, for only the host can tell what it did'


# -- its host is up ----------------------------------------------------------


def _by_host(
    step: records.Step,
    work: HostStep,
    at_work: bool,
    others: list[records.Step],
) -> str:
    host = step.host
    attempt = f'attempt {step.attempts + 1}'
    if at_work:
        return f'{host} has it at work ({attempt})'
    if step.state == records.RUNNING:
        return f'the new start of {host} takes it up again'
    earlier = None if work.beside else _earlier(step, others)
    if earlier is not None:
        return (
            f'{host} first does {earlier.method} of the earlier operation '
            f'{earlier.operation_id}'
        )
    soon = f'with the next sign of life of {host}'
    if step.not_before is not None and step.not_before > clock.now():
        return f'{attempt} at {moment(step.not_before)}, {soon}'
    return f'{attempt} {soon}'


def _earlier(
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


def _when_late(
    step: records.Step,
    operation: records.Operation,
    work: HostStep,
    at_work: bool,
) -> str:
    if step.detached or not operation.owns:
        return ''
    if at_work:
        return 'it is left to end by itself'
    if work.must_succeed(step):
        return 'the operation gives up and leaves the instance in error'
    return 'the operation is taken back'
