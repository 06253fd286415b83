# SPDX-License-Identifier: Apache-2.0
"""The check that an instance has one ``exists`` for each audit period."""

from collections.abc import Sequence
from typing import Final

from minova.db.queries.ledger import Entry
from minova.notifications import events
from minova.objects.audit_period import AuditPeriod

_EXISTS: Final = events.event_type('exists')


class ExistsCheck:
    """Checks the notifications of one instance, in their order.

    An operation emits an ``exists`` too, for the period in progress; that of
    the usage audit belongs to no operation.
    """

    def __init__(self, audited: Sequence[AuditPeriod]) -> None:
        """Take the periods that are audited completely, the oldest first."""
        self._places = {
            (
                f'{p.beginning:%Y-%m-%d %H:%M:%S}',
                f'{p.ending:%Y-%m-%d %H:%M:%S}',
            ): place
            for place, p in enumerate(audited)
        }
        self._last: int | None = None
        self.repeated: list[Entry] = []
        self.after_gaps: list[Entry] = []

    def add(self, entry: Entry) -> Entry:
        """Check a notification and return it."""
        if entry.event_type == _EXISTS and entry.operation_id is None:
            bounds = (
                entry.payload['audit_period_beginning'],
                entry.payload['audit_period_ending'],
            )
            self._add(entry, self._places.get(bounds))
        return entry

    def _add(self, entry: Entry, place: int | None) -> None:
        if place is None:
            # The audit of this period is in progress, or its row is purged.
            return
        if self._last is not None and place <= self._last:
            self.repeated.append(entry)
            return
        if self._last is not None and place > self._last + 1:
            self.after_gaps.append(entry)
        self._last = place
