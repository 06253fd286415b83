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
from minova.db.queries import operations
from minova.db.queries import outbox
from minova.notifications import events
from minova.notifications import payload
from minova.objects import operation as records
from minova.objects.instance import Instance

_STATES_COMPARED = {'vm_and_task_state': 2, 'vm_state': 1, 'none': 0}


class NoticeBuffer:
    """The telling half of a book."""

    def __init__(
        self,
        connection: sa.Connection,
        instance: Instance,
        operation: records.Operation,
        step: records.Step | None,
        publisher: str,
        new_operation: bool,
    ) -> None:
        self.connection = connection
        self.instance = instance
        self.operation = operation
        self.publisher = publisher
        self.now = clock.now()
        self._new_operation = new_operation
        self._step = step
        self._pending: list[records.Step] = []
        self._emitted_states = (instance.vm_state, instance.task_state)
        self._notices: list[dict[str, Any]] = []
        #: What was started and is to be ended in this very transaction.
        self._unattached_events: list[str] = []

    @property
    def pending(self) -> list[records.Step]:
        """The steps that are owed since the book is open."""
        return self._pending

    def steps(self) -> list[records.Step]:
        """All steps of the operation so far, in the order they were owed."""
        known = []
        if not self._new_operation:
            known = operations.list_steps(self.connection, self.operation.id)
        own = self._step
        return [
            own if own is not None and own.id == step.id else step
            for step in known
        ] + self._pending

    # -- moments -------------------------------------------------------------

    def emit(self, event: str) -> None:
        """Tell a moment."""
        self._emit(
            events.event_type(event),
            payload.exists_payload(self.instance, self.now),
        )

    def emit_update(self) -> None:
        """Tell how the states have changed since they were told last."""
        before = self._emitted_states
        self._emitted_states = (
            self.instance.vm_state,
            self.instance.task_state,
        )
        compared = _STATES_COMPARED[CONF.notifications.notify_on_state_change]
        if before[:compared] != self._emitted_states[:compared]:
            self._emit(
                events.event_type('update'),
                payload.update_payload(self.instance, before, self.now),
            )

    # -- spans ---------------------------------------------------------------

    def emit_start(self, event: str, **extras: Any) -> None:
        """Tell that something starts."""
        own = (
            self._unattached_events
            if self._step is None
            else self._step.open_events
        )
        own.append(event)
        self._emit_phase(event, events.START, extras)

    def emit_end(self, event: str, **extras: Any) -> None:
        """Tell that it has ended well.

        What nobody waits for any more was told as broken when the operation
        went on without it: its late end is not told.
        """
        if not self._remove_open_event(event):
            if self._step is not None and self._step.detached:
                return
            raise ValueError(
                f'{event} was not open_events by {self.operation.id}'
            )
        self._emit_phase(event, events.END, extras)

    def emit_error(self, event: str, error: exception.MinovaException) -> None:
        """Tell that it has ended badly."""
        self._remove_open_event(event)
        self._emit_phase(
            event, events.ERROR, payload.fault_payload(error, error.status)
        )

    def open_events(self) -> list[str]:
        """Return all that the operation has started and not ended."""
        return [*self._unattached_events] + [
            event for step in self.steps() for event in step.open_events
        ]

    def _remove_open_event(self, event: str) -> bool:
        """Take note of an end; tell whether there was a start."""
        own = (
            self._unattached_events
            if self._step is None
            else self._step.open_events
        )
        if event in own:
            own.remove(event)
            return True
        for step in self.steps():
            if event in step.open_events:
                left = [other for other in step.open_events if other != event]
                operations.update_step(
                    self.connection, step, {'open_events': left}
                )
                return True
        return False

    def _emit_phase(
        self, event: str, phase: str, extras: dict[str, Any]
    ) -> None:
        self._emit(
            events.event_type(event, phase),
            payload.instance_payload(self.instance) | extras,
        )

    # -- the rows ------------------------------------------------------------

    def _emit(self, event_type: str, content: dict[str, Any]) -> None:
        self.add_notice(self.operation, event_type, content)

    def add_notice(
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
        if self._unattached_events:
            raise AssertionError(
                f'{self._unattached_events} would never be ended'
            )
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
