# SPDX-License-Identifier: Apache-2.0
"""The one place where rows of the outbox are made.

A row is numbered under the lock of its entity, which is an instance, an
aggregate or a server group, and written in the transaction of the change that
it reports.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import datetime
from typing import Protocol
import uuid

from minova import clock
from minova.db.connections.engine import Connection
from minova.db.queries import outbox
from minova.notifications import events
from minova.notifications.payload import Payload


class Numbered(Protocol):
    """An instance or another entity that numbers its notifications."""

    @property
    def uuid(self) -> str:
        """The id in the outbox."""

    @property
    def notification_seq(self) -> int:
        """The number of its newest notification."""


@dataclasses.dataclass(frozen=True)
class _Notice:
    event_type: str
    payload: Payload
    operation_id: str | None
    context: Mapping[str, object]


class OutboxRows:
    """The notifications of one entity that one transaction writes."""

    def __init__(
        self, entity: Numbered, publisher: str, now: datetime.datetime
    ) -> None:
        self._entity = entity
        self._publisher = publisher
        self._now = now
        self._notices: list[_Notice] = []
        self._first_seq = 0

    def add(
        self,
        event_type: str,
        payload: Payload,
        operation_id: str | None,
        context: Mapping[str, object],
    ) -> None:
        """Add a notification; ``context`` is that of the request."""
        self._notices.append(
            _Notice(event_type, payload, operation_id, context)
        )

    def number(self) -> int:
        """Number the notifications; return the entity's newest number.

        The row of the entity is locked, so that no other transaction gives
        the same numbers; the caller writes the newest to it.
        """
        self._first_seq = self._entity.notification_seq + 1
        return self._entity.notification_seq + len(self._notices)

    def write(self, connection: Connection) -> None:
        """Insert the rows; the relay publishes them after the commit."""
        rows = [
            self._row(notice, seq)
            for seq, notice in enumerate(self._notices, self._first_seq)
        ]
        if rows:
            outbox.insert(connection, rows)

    def _row(self, notice: _Notice, seq: int) -> dict[str, object]:
        return {
            'instance_uuid': self._entity.uuid,
            'operation_id': notice.operation_id,
            'seq': seq,
            'message_id': message_id(self._entity.uuid, seq),
            'event_type': notice.event_type,
            'publisher_id': self._publisher,
            'priority': events.priority(notice.event_type),
            'payload': notice.payload,
            'context': notice.context,
            'created_at': self._now,
            'published_at': None,
        }


def write_notices(
    connection: Connection,
    entity: Numbered,
    publisher: str,
    context: Mapping[str, object],
    notices: Iterable[tuple[str, Payload]],
) -> int:
    """Write the notifications of a change that is no operation.

    The transaction has locked the row of the entity. Returns the number of the
    newest notification, which the caller writes to that row.
    """
    rows = OutboxRows(entity, publisher, clock.now())
    for event_type, content in notices:
        rows.add(event_type, content, None, context)
    newest = rows.number()
    rows.write(connection)
    return newest


def message_id(instance_uuid: str, seq: int) -> str:
    """Return the id of an entity's notification number ``seq``.

    It is a uuid5 of the two, so that a second publication has the same id.
    """
    return str(uuid.uuid5(uuid.UUID(instance_uuid), str(seq)))
