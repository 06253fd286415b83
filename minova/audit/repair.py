# SPDX-License-Identifier: Apache-2.0
"""The repair of a finding, by the name of the repair.

Artifacts on hosts are removed by operations, which stay pending until the
host has done them. The image service deletes images. Rows are repaired in one
transaction, which locks the instance, checks the finding again and raises
Stale if it no longer holds.
"""

from collections.abc import Callable
import dataclasses
from typing import Final

from minova import clock
from minova import exception
from minova import states
from minova.audit import counter_repairs
from minova.audit import operation_repairs
from minova.audit import port_repairs
from minova.audit import state_repairs
from minova.audit.findings import Finding
from minova.audit.preconditions import require_unchanged
from minova.audit.preconditions import stale_error
from minova.context import get_admin_context
from minova.db.connections.engine import Connection
from minova.db.connections.engine import Database
from minova.db.queries import instances
from minova.db.queries import migrations
from minova.db.queries import operations
from minova.engine import begin
from minova.exception import serialization
from minova.images import ImageService
from minova.notifications import events
from minova.objects.instance import Instance
from minova.objects.operation import Operation
from minova.objects.operation_params import CleanupStaleGuestParams
from minova.objects.operation_params import DiscardSnapshotParams
from minova.objects.operation_params import InterfaceParams
from minova.objects.operation_params import OperationParams
from minova.rpc.compute import ComputeClients
from minova.rpc.wakeups import Waker

#: Seconds to wait for the end of a clean-up on a host.
TIMEOUT = 30.0
_POLL_INTERVAL = 0.2


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of a repair; ``text`` is what was or must be done."""

    is_repaired: bool
    text: str


class Repairer:
    """Repairs findings, one at a time.

    Without ``waker`` a host starts its clean-up at its next heartbeat.
    ``instance_uuid`` is the instance that the operator named: a guest that the
    database does not know is removed only if its uuid is named. Without
    ``images`` no image is deleted.
    """

    def __init__(
        self,
        database: Database,
        publisher: str,
        computes: ComputeClients | None = None,
        waker: Waker | None = None,
        instance_uuid: str | None = None,
        timeout: float = TIMEOUT,
        images: ImageService | None = None,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._computes = computes
        self._waker = waker
        self._instance_uuid = instance_uuid
        self._timeout = timeout
        self._images = images

    def repair(self, finding: Finding) -> Outcome:
        """Repair a finding if it has a repair; errors are in the outcome."""
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
        """Begin the removal of an instance's artifacts from a host."""
        return self._begin(
            finding,
            'cleanup_stale_guest',
            CleanupStaleGuestParams(host=str(finding.host)),
        )

    def discard_disks(self, finding: Finding) -> Outcome:
        """Begin the removal of an instance's retained disks."""
        return self._begin(
            finding,
            'cleanup_stale_guest',
            CleanupStaleGuestParams(
                host=str(finding.host), retained_only=True
            ),
        )

    def discard_snapshot(self, finding: Finding) -> Outcome:
        """Begin the removal of the copies of an instance's disk."""
        return self._begin(
            finding,
            'discard_snapshot',
            DiscardSnapshotParams(host=str(finding.host)),
        )

    def _begin(
        self, finding: Finding, kind: str, params: OperationParams
    ) -> Outcome:
        host = str(finding.host)

        def prepare(
            connection: Connection, instance: Instance
        ) -> OperationParams:
            _require_unexplained(connection, instance, finding, host)
            return params

        return self._run(kind, finding, prepare)

    def attach_interface(self, finding: Finding) -> Outcome:
        """Begin to attach the missing interface of a NIC."""

        def prepare(
            connection: Connection, instance: Instance
        ) -> InterfaceParams:
            require_unchanged(instance, finding)
            for nic in instance.network_info:
                if nic['mac'].lower() == finding.subject:
                    return InterfaceParams(nic=nic)
            raise stale_error(f'Instance {instance.uuid}')

        return self._run('attach_interface', finding, prepare)

    def detach_interface(self, finding: Finding) -> Outcome:
        """Begin to detach an interface that no NIC has."""

        def prepare(
            connection: Connection, instance: Instance
        ) -> InterfaceParams:
            require_unchanged(instance, finding)
            nic = {'id': '', 'mac': finding.subject, 'addresses': []}
            return InterfaceParams(nic=nic)

        return self._run('detach_interface', finding, prepare)

    def _run(
        self, kind: str, finding: Finding, prepare: begin.Prepare
    ) -> Outcome:
        """Begin an operation on a host, and wait for its end."""
        begun = begin.begin(
            self._database,
            get_admin_context(),
            kind,
            str(finding.instance),
            events.publisher_id('compute', str(finding.host)),
            prepare,
        )
        if self._waker is not None:
            self._waker.wake(get_admin_context(), begun.wakeups)
        operation = f'Operation {kind} {begun.operation.id}'
        ended = self._wait_for_end(begun.operation.id)
        if ended is not None and ended.error is not None:
            cause = serialization.decode(ended.error)
            return Outcome(False, f'{operation} has failed: {cause}')
        if ended is not None:
            return Outcome(True, f'{operation} has ended.')
        return Outcome(
            True,
            f'{operation} has begun; it waits for the host {finding.host}.',
        )

    def _wait_for_end(self, operation_id: str) -> Operation | None:
        """Return an operation that has ended, None after the timeout."""
        until = clock.monotonic() + self._timeout
        while True:
            found: Operation | None = self._database.read(
                lambda connection: operations.get(connection, operation_id)
            )
            if found is not None and found.finished_at is not None:
                return found
            if clock.monotonic() >= until:
                return None
            clock.sleep(_POLL_INTERVAL)

    def discard_image(self, finding: Finding) -> Outcome:
        """Delete an image without data, whose operation has ended."""
        if self._images is None:
            return Outcome(False, finding.rule.advice)
        found = self._database.read(
            lambda connection: instances.get(
                connection, str(finding.instance), deleted=True
            )
        )
        if found is not None:
            require_unchanged(found, finding)
        self._images.discard(finding.subject)
        return Outcome(
            True, f'The image service has deleted the image {finding.subject}.'
        )

    def destroy_unknown_guest(self, finding: Finding) -> Outcome:
        """Remove an unknown guest with its disks, if the operator named it."""
        if self._instance_uuid != finding.instance or self._computes is None:
            return Outcome(False, finding.rule.advice)
        uuid = str(finding.instance)
        known = self._database.read(
            lambda connection: instances.get(connection, uuid, deleted=True)
        )
        if known is not None:
            raise stale_error(f'Instance {uuid}')
        self._computes.for_host(str(finding.host)).destroy_unknown_guest(
            get_admin_context(),
            instance_uuid=uuid,
            generation=finding.guest_generation,
        )
        return Outcome(True, f'The host {finding.host} has removed it.')


def _require_unexplained(
    connection: Connection, instance: Instance, finding: Finding, host: str
) -> None:
    """Raise Stale if an operation or migration now explains the artifacts."""
    require_unchanged(instance, finding)
    migration = migrations.get_unconfirmed(connection, instance.uuid)
    is_source = (
        migration is not None
        and migration.source_host == host
        and instance.vm_state == states.RESIZED
    )
    steps = operations.list_open_steps_of_instance(connection, instance.uuid)
    has_step = any(step.host == host for step in steps)
    if instance.task_id is not None or is_source or has_step:
        raise stale_error(f'Instance {instance.uuid}')


#: The repairs outside of the database.
_HOST_REPAIRS: Final[dict[str, Callable[[Repairer, Finding], Outcome]]] = {
    'cleanup_stale_guest': Repairer.cleanup_stale_guest,
    'discard_disks': Repairer.discard_disks,
    'discard_snapshot': Repairer.discard_snapshot,
    'discard_image': Repairer.discard_image,
    'destroy_unknown_guest': Repairer.destroy_unknown_guest,
    'attach_interface': Repairer.attach_interface,
    'detach_interface': Repairer.detach_interface,
}

#: Each runs in one transaction and returns what it has done.
_DATABASE_REPAIRS: Final[
    dict[str, Callable[[Connection, Finding, str], str]]
] = {
    'add_allocation': counter_repairs.add_allocation,
    'remove_allocation': counter_repairs.remove_allocation,
    'resize_allocation': counter_repairs.resize_allocation,
    'replace_placement': counter_repairs.replace_placement,
    'recompute_host_usage': counter_repairs.recompute_host_usage,
    'advance_notification_seq': counter_repairs.advance_notification_seq,
    'release_port': port_repairs.release_port,
    'restore_port': port_repairs.restore_port,
    'release_instance': operation_repairs.release_instance,
    'end_operation': operation_repairs.end_operation,
    'recount_steps': operation_repairs.recount_steps,
    'close_steps': operation_repairs.close_steps,
    'abandon_step': operation_repairs.abandon_step,
    'close_migration': operation_repairs.close_migration,
    'date_soft_delete': state_repairs.date_soft_delete,
}

REPAIR_NAMES: Final = frozenset({*_HOST_REPAIRS, *_DATABASE_REPAIRS})
