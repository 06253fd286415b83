# SPDX-License-Identifier: Apache-2.0
"""Repairs: by the product's own means, fenced and durable.

What is on hosts is removed by operations, which the host owes until it is
done. What is in the database is put right in one transaction that locks the
instance, looks again, and does nothing when anything has moved on. Each says
what it has done, or raises why it has not.
"""

from collections.abc import Callable
import dataclasses
from typing import Final

from minova import clock
from minova import exception
from minova import states
from minova.audit import addresses
from minova.audit import letting_go
from minova.audit import recounting
from minova.audit.fence import held
from minova.audit.findings import Finding
from minova.context import internal
from minova.db import instances
from minova.db import moves
from minova.db import operations
from minova.db.engine import Connection
from minova.db.engine import Database
from minova.notifications import events
from minova.objects.instance import Instance
from minova.operations import begin
from minova.rpc.compute import Computes
from minova.rpc.wakes import Waker

#: Seconds to wait for a host to work off what it owes from now on.
PATIENCE = 30.0
_LOOK = 0.2


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What has become of a finding: whether it is repaired, and how."""

    repaired: bool
    text: str


class Repairs:
    """Repairs one finding after the other.

    Without ``computes`` hosts are not woken, and find what they owe by
    themselves. ``named`` is the instance that an operator asked for.
    """

    def __init__(
        self,
        database: Database,
        publisher: str,
        computes: Computes | None = None,
        waker: Waker | None = None,
        named: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._computes = computes
        self._waker = waker
        self._named = named
        self._patience = patience

    def repair(self, finding: Finding) -> Outcome:
        """Repair a finding if that can be done; never raises."""
        on_host = _ON_HOSTS.get(finding.repair)
        in_rows = _IN_ROWS.get(finding.repair)
        try:
            if on_host is not None:
                return on_host(self, finding)
            if in_rows is not None:
                text = self._database.write(
                    lambda connection: in_rows(
                        connection, finding, self._publisher
                    )
                )
                return Outcome(True, text)
        except exception.MinovaException as error:
            return Outcome(False, f'Not repaired: {error}')
        return Outcome(False, finding.rule.advice)

    # -- on hosts ------------------------------------------------------------

    def put_away(self, finding: Finding) -> Outcome:
        """Let a host remove what it has of an instance."""
        return self._begin(finding, aside=False)

    def drop_aside(self, finding: Finding) -> Outcome:
        """Let an instance's host remove the disks that are set aside."""
        return self._begin(finding, aside=True)

    def _begin(self, finding: Finding, aside: bool) -> Outcome:
        host = str(finding.host)

        def prepare(
            connection: Connection, instance: Instance
        ) -> dict[str, object]:
            _require_unexplained(connection, instance, finding, host)
            return {'host': host, 'aside': aside}

        begun = begin.begin(
            self._database,
            internal(),
            'put_away',
            str(finding.instance),
            events.publisher('compute', host),
            prepare,
        )
        if self._waker is not None:
            self._waker.wake(internal(), begun.wakes)
        number = begun.operation.id
        if self._has_ended(number):
            return Outcome(True, f'Operation put_away {number} is done.')
        return Outcome(
            True,
            f'Operation put_away {number} is begun; {host} does it when it '
            'can.',
        )

    def _has_ended(self, operation_id: str) -> bool:
        until = clock.monotonic() + self._patience
        while True:
            found = self._database.read(
                lambda connection: operations.get(connection, operation_id)
            )
            if found is None or found.finished_at is not None:
                return True
            if clock.monotonic() >= until:
                return False
            clock.sleep(_LOOK)

    def put_away_stranger(self, finding: Finding) -> Outcome:
        """Remove what nobody knows, if an operator has named it."""
        if self._named != finding.instance or self._computes is None:
            return Outcome(False, finding.rule.advice)
        uuid = str(finding.instance)
        known = self._database.read(
            lambda connection: instances.get(connection, uuid, deleted=True)
        )
        if known is not None:
            raise exception.Stale(what=f'Instance {uuid}', holder='nobody')
        self._computes.at(str(finding.host)).put_away_stranger(
            internal(), instance_uuid=uuid, generation=finding.facts['mark']
        )
        return Outcome(True, f'{finding.host} has removed it.')


def _require_unexplained(
    connection: Connection, instance: Instance, finding: Finding, host: str
) -> None:
    """Raise Stale when something live accounts for it by now."""
    held(instance, finding)
    if instance.task_id is not None:
        raise exception.Stale(
            what=f'Instance {instance.uuid}', holder='nobody'
        )
    move = moves.finished(connection, instance.uuid)
    kept = (
        move is not None
        and move.source_host == host
        and instance.vm_state == states.RESIZED
    )
    steps = operations.open_steps_of(connection, instance.uuid)
    if kept or any(step.host == host for step in steps):
        raise exception.Stale(
            what=f'Instance {instance.uuid}', holder='what was found'
        )


_ON_HOSTS: Final[dict[str, Callable[[Repairs, Finding], Outcome]]] = {
    'put_away': Repairs.put_away,
    'drop_aside': Repairs.drop_aside,
    'put_away_stranger': Repairs.put_away_stranger,
}

#: Each is one transaction; it returns what it has done.
_IN_ROWS: Final[dict[str, Callable[[Connection, Finding, str], str]]] = {
    'claim': recounting.claim,
    'release': recounting.release,
    'resize_claim': recounting.resize_claim,
    'recount_host': recounting.recount_host,
    'renumber': recounting.renumber,
    'release_port': addresses.release_port,
    'hold_port': addresses.hold_port,
    'let_go': letting_go.let_go,
    'end_operation': letting_go.end_operation,
    'recount_operation': letting_go.recount_operation,
    'close_steps': letting_go.close_steps,
    'give_up_step': letting_go.give_up_step,
    'close_move': letting_go.close_move,
}

NAMES: Final = frozenset({*_ON_HOSTS, *_IN_ROWS})
