# SPDX-License-Identifier: Apache-2.0
"""The records and the stocks as rules look at them, and what explains what.

Something of an instance on a host that is not its own, or room held there, is
no fault when it is explained:

* by the live operation that owns the instance, on every host it has steps on
  or that its move names;
* by an open step of that host: it is being worked on, or cleaning up is owed;
* by a move that waits to be confirmed: its source keeps the old guest, off,
  and the disks set aside.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import datetime

from minova import states
from minova.db.census import InstanceRow
from minova.db.census import Records
from minova.objects import operation as records
from minova.objects.host import Holding
from minova.objects.migration import Migration
from minova.objects.operation import Operation

Stocks = Mapping[str, Sequence[Holding]]


class View:
    """What rules ask; computed once from what was read."""

    def __init__(
        self, rows: Records, stocks: Stocks, now: datetime.datetime
    ) -> None:
        self.records = rows
        self.stocks = stocks
        self.now = now
        self.holdings = {
            (host, holding.uuid): holding
            for host, found in stocks.items()
            for holding in found
        }
        self.running = {
            number: operation
            for number, operation in rows.operations.items()
            if operation.state == records.RUNNING
        }
        self.waiting = {
            move.instance_uuid: move
            for move in rows.moves
            if move.status == 'finished' and self._waits(move)
        }
        self._running_of: dict[str, list[Operation]] = {}
        for operation in self.running.values():
            own = self._running_of.setdefault(operation.instance_uuid, [])
            own.append(operation)
        self._touched: dict[str, set[str]] = {}
        self._owed: set[tuple[str, str]] = set()
        for step in rows.steps:
            self._note(step)
        for move in rows.moves:
            for operation in self._running_of.get(move.instance_uuid, ()):
                # Also one that confirms or reverts what another has moved.
                if makes([operation], move):
                    touched = self._touched.setdefault(operation.id, set())
                    touched.update({move.source_host, str(move.dest_host)})

    def _waits(self, move: Migration) -> bool:
        instance = self.records.instances.get(move.instance_uuid)
        return instance is not None and instance.vm_state == states.RESIZED

    def _note(self, step: records.Step) -> None:
        if step.host is None or step.operation_id not in self.running:
            return
        hosts = {step.host, *step.args.get('then', ())}
        self._touched.setdefault(step.operation_id, set()).update(hosts)
        if step.state in records.OPEN:
            uuid = step.instance_uuid
            self._owed.update((uuid, host) for host in hosts)

    # -- instances -----------------------------------------------------------

    def living(self) -> list[InstanceRow]:
        """Return the instances that are not deleted."""
        return [
            row
            for row in self.records.instances.values()
            if row.vm_state != states.DELETED
        ]

    def owner(self, instance: InstanceRow) -> Operation | None:
        """Return the live operation that owns an instance."""
        found = self.running.get(str(instance.task_id))
        return found if found is not None and found.owns else None

    def is_deleted(self, uuid: str) -> bool:
        """Tell whether an instance is known and gone."""
        row = self.records.instances.get(uuid)
        return row is not None and row.vm_state == states.DELETED

    def is_being_made(self, move: Migration) -> bool:
        """Tell whether a live operation makes, confirms or reverts a move."""
        return makes(self._running_of.get(move.instance_uuid, ()), move)

    # -- what explains -------------------------------------------------------

    def is_owed(self, uuid: str, host: str) -> bool:
        """Tell whether a host has an open step of an instance."""
        return (uuid, host) in self._owed

    def explains(self, uuid: str, host: str) -> bool:
        """Tell whether something live accounts for what a host has."""
        if self.is_owed(uuid, host):
            return True
        instance = self.records.instances.get(uuid)
        owner = self.owner(instance) if instance else None
        return owner is not None and host in self._touched.get(owner.id, ())

    def keeps_way_back(self, uuid: str, host: str) -> bool:
        """Tell whether a host is the source of a move that waits."""
        move = self.waiting.get(uuid)
        return move is not None and move.source_host == host

    # -- guests --------------------------------------------------------------

    def runs_at(self, uuid: str) -> list[str]:
        """Return the hosts on which a guest uses its disks."""
        return sorted(
            host
            for (host, other), holding in self.holdings.items()
            if other == uuid and is_on(holding)
        )


def makes(running: Iterable[Operation], move: Migration) -> bool:
    """Tell whether one of an instance's operations is about a move."""
    return any(
        operation.id == move.operation_id
        or operation.params.get('migration') == move.id
        for operation in running
    )


def is_on(holding: Holding) -> bool:
    """Tell whether a holding's guest uses its disks."""
    return holding.power_state in states.ON
