# SPDX-License-Identifier: Apache-2.0
"""Rules about notifications: laws 5 and 6.

Old ones that are published are archived, the oldest first: numbers may begin
anywhere, but then go on without a gap to the newest.
"""

from collections.abc import Iterator
import datetime
from typing import Final

from minova.audit.findings import Finding
from minova.audit.view import View
from minova.db.census import InstanceRow
from minova.db.census import Told
from minova.notifications import events

#: How long a notification may wait for a conductor and the broker.
_PATIENCE: Final = datetime.timedelta(minutes=5)


def find(view: View) -> Iterator[Finding]:
    """Look for what was not told, or not in order."""
    for uuid, told in view.records.told.items():
        yield from _numbers(view, uuid, told)
        yield from _publication(view, uuid, told)
    for unended in view.records.unended:
        if unended.operation_id in view.running:
            continue
        name = unended.event.removeprefix(events.PREFIX)
        yield _finding(
            view,
            unended.instance_uuid,
            'span_left_open',
            f'{name} was started and neither ended nor failed.',
            operation=unended.operation_id,
            subject=name,
        )


def _numbers(view: View, uuid: str, told: Told) -> Iterator[Finding]:
    row = view.records.instances.get(uuid)
    newest = row.notification_seq if row else told.last
    missing = told.last - told.first + 1 - told.rows
    missing += max(0, newest - told.last)
    if missing:
        yield _finding(
            view,
            uuid,
            'outbox_gap',
            f'{missing} of the numbers {told.first} to '
            f'{max(newest, told.last)} are not there.',
        )
    if told.last > newest:
        yield _finding(
            view,
            uuid,
            'outbox_beyond',
            f'The newest is number {told.last}, the instance says {newest}.',
        )


def _publication(view: View, uuid: str, told: Told) -> Iterator[Finding]:
    first, last = told.first_unpublished, told.last_published
    if first is not None and last is not None and first < last:
        yield _finding(
            view,
            uuid,
            'outbox_disorder',
            f'Number {last} is published and number {first} is not.',
        )
    since = told.oldest_unpublished_at
    if since is not None and view.now - since > _PATIENCE:
        yield _finding(
            view,
            uuid,
            'outbox_waits',
            f'Number {first} waits since {since:%Y-%m-%d %H:%M:%S} UTC.',
        )


def _finding(
    view: View,
    uuid: str,
    name: str,
    text: str,
    operation: str | None = None,
    subject: str = '',
) -> Finding:
    row: InstanceRow | None = view.records.instances.get(uuid)
    return Finding(
        name,
        text,
        instance=uuid,
        operation=operation,
        generation=row.generation if row else None,
        subject=subject,
        repairable=row is not None,
    )
