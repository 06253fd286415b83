# SPDX-License-Identifier: Apache-2.0
"""Rules about notifications: invariants 5 and 6.

The archiver takes published notifications, oldest first: the sequence numbers
in the outbox may begin anywhere and have no gap up to the newest.
"""

from collections.abc import Iterator
import datetime
from typing import Final

from minova.audit.findings import Finding
from minova.audit.snapshot import Snapshot
from minova.db.queries.audit_snapshot import OutboxSummary
from minova.notifications import events

#: The time within which a notification must be published.
_MAX_DELAY: Final = datetime.timedelta(minutes=5)


def find(snapshot: Snapshot) -> Iterator[Finding]:
    """Find missing, unpublished and misordered notifications."""
    for uuid, summary in snapshot.database.outbox.items():
        yield from _check_numbers(snapshot, uuid, summary)
        yield from _check_publication(snapshot, uuid, summary)
    for unfinished in snapshot.database.unfinished_events:
        if unfinished.operation_id in snapshot.running_operations:
            continue
        name = unfinished.event.removeprefix(events.PREFIX)
        yield _finding(
            snapshot,
            unfinished.instance_uuid,
            'event_left_open',
            f'{name} has a start and neither an end nor an error.',
            operation=unfinished.operation_id,
            subject=name,
        )


def _check_numbers(
    snapshot: Snapshot, uuid: str, summary: OutboxSummary
) -> Iterator[Finding]:
    row = snapshot.database.instances.get(uuid)
    newest = row.notification_seq if row else summary.last
    missing = summary.last - summary.first + 1 - summary.rows
    missing += max(0, newest - summary.last)
    if missing:
        yield _finding(
            snapshot,
            uuid,
            'outbox_gap',
            f'{missing} of the notifications {summary.first} to '
            f'{max(newest, summary.last)} are missing.',
        )
    if summary.last > newest:
        yield _finding(
            snapshot,
            uuid,
            'outbox_seq_ahead',
            f'The newest notification is {summary.last}, the sequence number '
            f'of the instance is {newest}.',
        )


def _check_publication(
    snapshot: Snapshot, uuid: str, summary: OutboxSummary
) -> Iterator[Finding]:
    first, last = summary.first_unpublished, summary.last_published
    if first is not None and last is not None and first < last:
        yield _finding(
            snapshot,
            uuid,
            'outbox_out_of_order',
            f'Notification {last} is published, {first} is not.',
        )
    since = summary.oldest_unpublished_at
    if since is not None and snapshot.now - since > _MAX_DELAY:
        yield _finding(
            snapshot,
            uuid,
            'outbox_unpublished',
            f'Notification {first} is unpublished since '
            f'{since:%Y-%m-%d %H:%M:%S} UTC.',
        )


def _finding(
    snapshot: Snapshot,
    uuid: str,
    name: str,
    text: str,
    operation: str | None = None,
    subject: str = '',
) -> Finding:
    return snapshot.instance_finding(
        name,
        text,
        uuid,
        operation=operation,
        subject=subject,
        is_repairable=uuid in snapshot.database.instances,
    )
