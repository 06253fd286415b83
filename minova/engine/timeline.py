# SPDX-License-Identifier: Apache-2.0
"""The timeline of an instance: operations, steps, notifications in order.

It is read from their records; nothing is stored for it.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import datetime

from minova.db.connections.engine import Connection
from minova.db.queries import archive
from minova.db.queries import operations
from minova.db.queries import outbox
from minova.engine import next_steps
from minova.exception import serialization
from minova.notifications import events
from minova.objects import operation as records
from minova.objects.step_results import HostFenced


@dataclasses.dataclass(frozen=True)
class Entry:
    """One event of one service."""

    at: datetime.datetime
    service: str
    host: str
    what: str
    detail: str


def of_instance(
    connection: Connection,
    instance_uuid: str,
    kinds: tuple[str, ...] | None = None,
) -> Iterator[tuple[records.Operation, list[Entry]]]:
    """Return each operation with its entries, the oldest first.

    ``kinds`` restricts the timeline to operations of these kinds.
    """
    notices = outbox.list_by_instance(connection, instance_uuid)
    for operation in reversed(
        operations.list_by_instance(connection, instance_uuid)
    ):
        if kinds is not None and operation.kind not in kinds:
            continue
        own = [n for n in notices if n.operation_id == operation.id]
        steps = operations.list_steps(connection, operation.id)
        yield operation, _merged(operation, steps, own)


def describe_archived(
    connection: Connection, instance_uuid: str
) -> str | None:
    """Return a line about the archived rows of an instance, None for none."""
    gone = archive.summarize_instance(connection, instance_uuid)
    parts = []
    if gone.last_finished_at is not None:
        parts.append(
            f'{gone.operations} operations that ended until '
            f'{gone.last_finished_at:%Y-%m-%d %H:%M:%S} UTC'
        )
    if gone.notices:
        parts.append(f'{gone.notices} notifications')
    if gone.has_instance:
        parts.append('the deleted server itself')
    return f'In the archive: {", ".join(parts)}.' if parts else None


def _merged(
    operation: records.Operation,
    steps: Iterable[records.Step],
    notices: Iterable[outbox.Notice],
) -> list[Entry]:
    # At equal times: a step starts, its notifications, the step finishes.
    entries = [(1, n.seq, _of_notice(n)) for n in notices]
    for step in steps:
        if step.started_at is not None:
            entries.append((0, step.number, _step_started(step)))
        if step.finished_at is not None:
            entries.append((2, step.number, _step_finished(step)))
    ordered = sorted(
        entries, key=lambda entry: (entry[2].at, entry[0], entry[1])
    )
    return [entry for _, _, entry in ordered]


def _of_notice(notice: outbox.Notice) -> Entry:
    service, _, host = notice.publisher_id.partition('.')
    name = notice.event_type.removeprefix(events.PREFIX)
    detail = ''
    if name == 'update':
        payload = notice.payload
        changes = [
            f'{label} {old} > {new}'
            for label, old, new in (
                ('vm', payload['old_state'], payload['state']),
                ('task', payload['old_task_state'], payload['new_task_state']),
            )
            if old != new
        ]
        detail = ', '.join(changes)
    return Entry(notice.created_at, service, host, f'~ {name}', detail)


def _step_started(step: records.Step) -> Entry:
    assert step.started_at is not None
    again = f' (attempt {step.attempts + 1})' if step.attempts else ''
    way = 'call' if step.nested else 'cast'
    if step.topic == 'conductor':
        return Entry(step.started_at, 'conductor', '', f'> {step.method}', '')
    host = str(step.host)
    text = f'> {step.method}{again}'
    return Entry(step.started_at, 'compute', host, text, way)


def _step_finished(step: records.Step) -> Entry:
    assert step.finished_at is not None
    detail = step.state
    if step.error is not None:
        detail = f'{step.state}: {serialization.decode(step.error)}'
    elif isinstance(step.result, HostFenced):
        detail = f'{step.state}: {step.result.describe()}'
    return Entry(
        step.finished_at,
        step.topic,
        step.host or '',
        f'< {step.method}',
        detail,
    )


def render(
    operation: records.Operation,
    entries: Iterable[Entry],
    predictions: Iterable[next_steps.NextStep] = (),
) -> Iterator[str]:
    """Return the lines of a table of one operation.

    ``predictions`` say what happens next to an open operation.
    """
    began = operation.started_at
    title = f'{operation.kind} {operation.state} ({operation.request_id})'
    if operation.finished_at is not None:
        span = operation.finished_at - began
        title += f', {span.total_seconds() * 1000:.0f} ms'
    yield title
    if operation.error is not None:
        yield f'  because: {serialization.decode(operation.error)}'
    if operation.wait_reason is not None:
        yield f'  waits for: {operation.wait_reason}'
    if operation.waiting_since is not None:
        yield f'  since: {next_steps.format_time(operation.waiting_since)}'
    for prediction in predictions:
        yield f'  next: {prediction.step.method}: {prediction.action}'
    for entry in entries:
        after = (entry.at - began).total_seconds() * 1000
        place = f'{entry.service} {entry.host}'.strip()
        line = f'  {after:9.1f} ms  {place:<22} {entry.what:<46}'
        yield f'{line} {entry.detail}'.rstrip()
