# SPDX-License-Identifier: Apache-2.0
"""The notifications of one transaction, collected until it is written.

A span is an event with a start and an end or error. The step that starts a
span records it, so that the span ends exactly once, whichever ends the step:
the step itself, its undo, or an operation that preempts it.
"""

import sqlalchemy as sa

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.db.queries import operations
from minova.engine.outbox_rows import OutboxRows
from minova.notifications import audit_period
from minova.notifications import events
from minova.notifications import payload
from minova.objects import operation as records
from minova.objects.audit_period import AuditPeriod
from minova.objects.instance import Instance

_STATES_COMPARED = {'vm_and_task_state': 2, 'vm_state': 1, 'none': 0}


class NoticeBuffer:
    """The part of a unit of work that emits notifications."""

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
        self.now = clock.now()
        self._new_operation = new_operation
        self._step = step
        self._pending: list[records.Step] = []
        self._emitted_states = (instance.vm_state, instance.task_state)
        self._rows = OutboxRows(instance, publisher, self.now)
        #: Spans that this transaction starts without a step, and must end.
        self._unattached_events: list[str] = []

    @property
    def pending(self) -> list[records.Step]:
        """The steps that this unit of work has enqueued."""
        return self._pending

    def steps(self) -> list[records.Step]:
        """Return all steps of the operation, in the order of enqueueing."""
        known = []
        if not self._new_operation:
            known = operations.list_steps(self.connection, self.operation.id)
        own = self._step
        return [
            own if own is not None and own.id == step.id else step
            for step in known
        ] + self._pending

    # -- single events -------------------------------------------------------

    def emit(self, event: str, instance: Instance | None = None) -> None:
        """Emit an event without phases.

        ``instance`` is as the event describes it, by default as it is now. An
        ``exists`` is for the audit period in progress.
        """
        about = instance or self.instance
        content = payload.instance_payload(about)
        if event == 'exists':
            period = AuditPeriod(
                audit_period.find_beginning(self.now), self.now
            )
            content = payload.exists_payload(about, period)
        self._emit(events.event_type(event), content)

    def emit_update(self) -> None:
        """Emit the change of the states since the last update."""
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

    def emit_change(self) -> None:
        """Emit the change of a field that is no state."""
        if CONF.notifications.notify_on_state_change != 'none':
            self._emit(
                events.event_type('update'),
                payload.update_payload(
                    self.instance, self._emitted_states, self.now
                ),
            )

    # -- spans ---------------------------------------------------------------

    def emit_start(self, event: str, **extras: payload.Value) -> None:
        """Emit the start of a span; ``extras`` join the payload."""
        self._own_events().append(event)
        self._emit_phase(event, events.START, extras)

    def emit_end(self, event: str, **extras: payload.Value) -> None:
        """Emit the end of a span.

        A detached step has had its spans ended with an error when the
        operation continued without it: its late end is not emitted. Raises
        ValueError for any other span that was not started.
        """
        if not self._remove_open_event(event):
            if self._step is not None and self._step.detached:
                return
            raise ValueError(
                f'Operation {self.operation.id} has not started {event}'
            )
        self._emit_phase(event, events.END, extras)

    def emit_error(self, event: str, error: exception.MinovaException) -> None:
        """Emit the error that ends a span."""
        self._remove_open_event(event)
        self._emit_phase(event, events.ERROR, payload.fault_payload(error))

    def open_events(self) -> list[str]:
        """Return the spans that the operation has started and not ended."""
        return [*self._unattached_events] + [
            event for step in self.steps() for event in step.open_events
        ]

    def _own_events(self) -> list[str]:
        if self._step is None:
            return self._unattached_events
        return self._step.open_events

    def _remove_open_event(self, event: str) -> bool:
        """Record the end of a span; False when it was not started."""
        own = self._own_events()
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
        self, event: str, phase: str, extras: payload.Payload
    ) -> None:
        self._emit(
            events.event_type(event, phase),
            payload.instance_payload(self.instance) | extras,
        )

    # -- rows of the outbox --------------------------------------------------

    def _emit(self, event_type: str, content: payload.Payload) -> None:
        self.add_notice(self.operation, event_type, content)

    def add_notice(
        self,
        operation: records.Operation,
        event_type: str,
        content: payload.Payload,
    ) -> None:
        """Emit a notification of ``operation``, which may be another one."""
        self._rows.add(event_type, content, operation.id, operation.context)

    def number_notices(self) -> int:
        """Number the notifications; return the instance's newest number."""
        if self._unattached_events:
            raise AssertionError(
                f'No step could end the spans {self._unattached_events}'
            )
        return self._rows.number()

    def write_notices(self) -> None:
        """Write the notifications to the outbox."""
        self._rows.write(self.connection)
