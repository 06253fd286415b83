# SPDX-License-Identifier: Apache-2.0
"""What a page tells the world: collected here, numbered when it is written.

A span that is started is noted with the step that started it, so that it is
ended exactly once, whoever ends the step: by itself, by undoing, or by an
operation that takes the instance over.
"""

from typing import Any
import uuid

import sqlalchemy as sa

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.db import operations
from minova.db import outbox
from minova.notifications import events
from minova.notifications import payload
from minova.objects import operation as records
from minova.objects.instance import Instance

_COMPARED = {'vm_and_task_state': 2, 'vm_state': 1, 'none': 0}


class Telling:
    """The telling half of a book."""

    def __init__(
        self,
        connection: sa.Connection,
        instance: Instance,
        operation: records.Operation,
        step: records.Step | None,
        publisher: str,
        beginning: bool,
    ) -> None:
        self.connection = connection
        self.instance = instance
        self.operation = operation
        self.publisher = publisher
        self.now = clock.now()
        self._beginning = beginning
        self._step = step
        self._owed: list[records.Step] = []
        self._told = (instance.vm_state, instance.task_state)
        self._notices: list[dict[str, Any]] = []
        #: What was started and is to be ended in this very transaction.
        self._loose: list[str] = []

    @property
    def owed(self) -> list[records.Step]:
        """The steps that are owed since the book is open."""
        return self._owed

    def steps(self) -> list[records.Step]:
        """All steps of the operation so far, in the order they were owed."""
        known = []
        if not self._beginning:
            known = operations.steps_of(self.connection, self.operation.id)
        own = self._step
        return [
            own if own is not None and own.id == step.id else step
            for step in known
        ] + self._owed

    # -- moments -------------------------------------------------------------

    def tell(self, event: str) -> None:
        """Tell a moment."""
        self._tell(
            events.event_type(event),
            payload.of_existence(self.instance, self.now),
        )

    def tell_update(self) -> None:
        """Tell how the states have changed since they were told last."""
        before = self._told
        self._told = (self.instance.vm_state, self.instance.task_state)
        compared = _COMPARED[CONF.notifications.notify_on_state_change]
        if before[:compared] != self._told[:compared]:
            self._tell(
                events.event_type('update'),
                payload.of_update(self.instance, before, self.now),
            )

    # -- spans ---------------------------------------------------------------

    def open(self, event: str, **extras: Any) -> None:
        """Tell that something starts."""
        own = self._loose if self._step is None else self._step.opened
        own.append(event)
        self._tell_span(event, events.START, extras)

    def close(self, event: str, **extras: Any) -> None:
        """Tell that it has ended well.

        What nobody waits for any more was told as broken when the operation
        went on without it: its late end is not told.
        """
        if not self._forget(event):
            if self._step is not None and self._step.detached:
                return
            raise ValueError(f'{event} was not opened by {self.operation.id}')
        self._tell_span(event, events.END, extras)

    def broke(self, event: str, error: exception.MinovaException) -> None:
        """Tell that it has ended badly."""
        self._forget(event)
        self._tell_span(
            event, events.ERROR, payload.of_fault(error, error.status)
        )

    def opened(self) -> list[str]:
        """Return all that the operation has started and not ended."""
        return [*self._loose] + [
            event for step in self.steps() for event in step.opened
        ]

    def _forget(self, event: str) -> bool:
        """Take note of an end; tell whether there was a start."""
        own = self._loose if self._step is None else self._step.opened
        if event in own:
            own.remove(event)
            return True
        for step in self.steps():
            if event in step.opened:
                left = [other for other in step.opened if other != event]
                operations.update_step(self.connection, step, {'opened': left})
                return True
        return False

    def _tell_span(
        self, event: str, phase: str, extras: dict[str, Any]
    ) -> None:
        self._tell(
            events.event_type(event, phase),
            payload.of_instance(self.instance) | extras,
        )

    # -- the rows ------------------------------------------------------------

    def _tell(self, event_type: str, content: dict[str, Any]) -> None:
        self.notice(self.operation, event_type, content)

    def notice(
        self,
        operation: records.Operation,
        event_type: str,
        content: dict[str, Any],
    ) -> None:
        """Tell something in the name of ``operation``."""
        self._notices.append(
            {
                'instance_uuid': self.instance.uuid,
                'operation_id': operation.id,
                'event_type': event_type,
                'publisher_id': self.publisher,
                'priority': events.priority(event_type),
                'payload': content,
                'context': operation.context,
                'created_at': self.now,
                'published_at': None,
            }
        )

    def number_notices(self) -> int:
        """Give each notice its number; return the instance's newest.

        The instance's row is locked, so that no other gives the same.
        """
        if self._loose:
            raise AssertionError(f'{self._loose} would never be ended')
        newest = self.instance.notification_seq
        for notice in self._notices:
            newest += 1
            notice['seq'] = newest
            notice['message_id'] = message_id(self.instance.uuid, newest)
        return newest

    def write_notices(self) -> None:
        """Write what was told, to be published once this is committed."""
        if self._notices:
            outbox.insert(self.connection, self._notices)


def message_id(instance_uuid: str, seq: int) -> str:
    """Return the id of an instance's notification number ``seq``.

    Made from the two (uuid5), so that a second publication bears the same.
    """
    return str(uuid.uuid5(uuid.UUID(instance_uuid), str(seq)))
