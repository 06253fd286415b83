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
from minova.audit import counter_repairs
from minova.audit import operation_repairs
from minova.audit import port_rules
from minova.audit.findings import Finding
from minova.audit.preconditions import require_unchanged
from minova.context import get_admin_context
from minova.db.connections.engine import Connection
from minova.db.connections.engine import Database
from minova.db.queries import instances
from minova.db.queries import migrations
from minova.db.queries import operations
from minova.engine import begin
from minova.notifications import events
from minova.objects.instance import Instance
from minova.rpc.compute import ComputeClients
from minova.rpc.wakeups import Waker

#: Seconds to wait for a host to work off what it owes from now on.
TIMEOUT = 30.0
_POLL_INTERVAL = 0.2


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What has become of a finding: whether it is repaired, and how."""

    is_repaired: bool
    text: str


class Repairer:
    """Repairs one finding after the other.

    Without ``computes`` hosts are not woken, and find what they owe by
    themselves. ``named`` is the instance that an operator asked for.
    """

    def __init__(
        self,
        database: Database,
        publisher: str,
        computes: ComputeClients | None = None,
        waker: Waker | None = None,
        instance_uuid: str | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._computes = computes
        self._waker = waker
        self._instance_uuid = instance_uuid
        self._timeout = timeout

    def repair(self, finding: Finding) -> Outcome:
        """Repair a finding if that can be done; never raises."""
        host_repair = _HOST_REPAIRS.get(finding.repair)
        database_repair = _DATABASE_REPAIRS.get(finding.repair)
        try:
            if host_repair is not None:
                return host_repair(self, finding)
            if database_repair is not None:
                text = self._database.write(
                    lambda connection: database_repair(
                        connection, finding, self._publisher
                    )
                )
                return Outcome(True, text)
        except exception.MinovaException as error:
            return Outcome(False, f'Not repaired: {error}')
        return Outcome(False, finding.rule.advice)

    # -- on hosts ------------------------------------------------------------

    def cleanup_stale_guest(self, finding: Finding) -> Outcome:
        """Let a host remove what it has of an instance."""
        return self._begin(finding, retained_only=False)

    def discard_disks(self, finding: Finding) -> Outcome:
        """Let an instance's host remove the disks that are set aside."""
        return self._begin(finding, retained_only=True)

    def _begin(self, finding: Finding, retained_only: bool) -> Outcome:
        host = str(finding.host)

        def prepare(
            connection: Connection, instance: Instance
        ) -> dict[str, object]:
            _require_unexplained(connection, instance, finding, host)
            return {'host': host, 'retained_only': retained_only}

        begun = begin.begin(
            self._database,
            get_admin_context(),
            'cleanup_stale_guest',
            str(finding.instance),
            events.publisher_id('compute', host),
            prepare,
        )
        if self._waker is not None:
            self._waker.wake(get_admin_context(), begun.wakeups)
        number = begun.operation.id
        if self._has_ended(number):
            return Outcome(
                True, f'Operation cleanup_stale_guest {number} is done.'
            )
        return Outcome(
            True,
            f'Operation cleanup_stale_guest {number} is begun; {host} does it when it '
            'can.',
        )

    def _has_ended(self, operation_id: str) -> bool:
        until = clock.monotonic() + self._timeout
        while True:
            found = self._database.read(
                lambda connection: operations.get(connection, operation_id)
            )
            if found is None or found.finished_at is not None:
                return True
            if clock.monotonic() >= until:
                return False
            clock.sleep(_POLL_INTERVAL)

    def destroy_unknown_guest(self, finding: Finding) -> Outcome:
        """Remove what nobody knows, if an operator has named it."""
        if self._instance_uuid != finding.instance or self._computes is None:
            return Outcome(False, finding.rule.advice)
        uuid = str(finding.instance)
        known = self._database.read(
            lambda connection: instances.get(connection, uuid, deleted=True)
        )
        if known is not None:
            raise exception.Stale(what=f'Instance {uuid}', holder='nobody')
        self._computes.for_host(str(finding.host)).destroy_unknown_guest(
            get_admin_context(),
            instance_uuid=uuid,
            generation=finding.repair_args['guest_generation'],
        )
        return Outcome(True, f'{finding.host} has removed it.')


def _require_unexplained(
    connection: Connection, instance: Instance, finding: Finding, host: str
) -> None:
    """Raise Stale when something live accounts for it by now."""
    require_unchanged(instance, finding)
    if instance.task_id is not None:
        raise exception.Stale(
            what=f'Instance {instance.uuid}', holder='nobody'
        )
    migration = migrations.get_unconfirmed(connection, instance.uuid)
    kept = (
        migration is not None
        and migration.source_host == host
        and instance.vm_state == states.RESIZED
    )
    steps = operations.list_open_steps_of_instance(connection, instance.uuid)
    if kept or any(step.host == host for step in steps):
        raise exception.Stale(
            what=f'Instance {instance.uuid}', holder='what was found'
        )


_HOST_REPAIRS: Final[dict[str, Callable[[Repairer, Finding], Outcome]]] = {
    'cleanup_stale_guest': Repairer.cleanup_stale_guest,
    'discard_disks': Repairer.discard_disks,
    'destroy_unknown_guest': Repairer.destroy_unknown_guest,
}

#: Each is one transaction; it returns what it has done.
_DATABASE_REPAIRS: Final[
    dict[str, Callable[[Connection, Finding, str], str]]
] = {
    'claim': counter_repairs.add_allocation,
    'release': counter_repairs.remove_allocation,
    'resize_allocation': counter_repairs.resize_allocation,
    'recompute_host_usage': counter_repairs.recompute_host_usage,
    'advance_notification_seq': counter_repairs.advance_notification_seq,
    'release_port': port_rules.release_port,
    'restore_port': port_rules.restore_port,
    'release_instance': operation_repairs.release_instance,
    'end_operation': operation_repairs.end_operation,
    'recount_steps': operation_repairs.recount_steps,
    'close_steps': operation_repairs.close_steps,
    'abandon_step': operation_repairs.abandon_step,
    'close_migration': operation_repairs.close_migration,
}

REPAIR_NAMES: Final = frozenset({*_HOST_REPAIRS, *_DATABASE_REPAIRS})
