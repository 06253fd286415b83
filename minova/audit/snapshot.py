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

from minova import migration_states
from minova import states
from minova.db.queries.audit_snapshot import DatabaseSnapshot
from minova.db.queries.audit_snapshot import InstanceRow
from minova.objects import operation as records
from minova.objects.host import HostArtifact
from minova.objects.migration import Migration
from minova.objects.operation import Operation

HostContents = Mapping[str, Sequence[HostArtifact]]


class Snapshot:
    """What rules ask; computed once from what was read."""

    def __init__(
        self,
        database: DatabaseSnapshot,
        host_contents: HostContents,
        now: datetime.datetime,
    ) -> None:
        self.database = database
        self.host_contents = host_contents
        self.now = now
        self.artifacts = {
            (host, artifact.uuid): artifact
            for host, found in host_contents.items()
            for artifact in found
        }
        self.running_operations = {
            number: operation
            for number, operation in database.operations.items()
            if operation.state == records.RUNNING
        }
        self.waiting_migrations = {
            migration.instance_uuid: migration
            for migration in database.migrations
            if migration.status == migration_states.FINISHED
            and self._is_waiting(migration)
        }
        self._running_by_instance: dict[str, list[Operation]] = {}
        for operation in self.running_operations.values():
            own = self._running_by_instance.setdefault(
                operation.instance_uuid, []
            )
            own.append(operation)
        self._hosts_by_operation: dict[str, set[str]] = {}
        self._open_step_hosts: set[tuple[str, str]] = set()
        for step in database.steps:
            self._add_step(step)
        for migration in database.migrations:
            for operation in self._running_by_instance.get(
                migration.instance_uuid, ()
            ):
                # Also one that confirms or reverts what another has moved.
                if drives_migration([operation], migration):
                    touched = self._hosts_by_operation.setdefault(
                        operation.id, set()
                    )
                    touched.update(
                        {migration.source_host, str(migration.dest_host)}
                    )

    def _is_waiting(self, migration: Migration) -> bool:
        instance = self.database.instances.get(migration.instance_uuid)
        return instance is not None and instance.vm_state == states.RESIZED

    def _add_step(self, step: records.Step) -> None:
        if (
            step.host is None
            or step.operation_id not in self.running_operations
        ):
            return
        hosts = {step.host, *step.args.get('recheck_hosts', ())}
        self._hosts_by_operation.setdefault(step.operation_id, set()).update(
            hosts
        )
        if step.state in records.OPEN:
            uuid = step.instance_uuid
            self._open_step_hosts.update((uuid, host) for host in hosts)

    # -- instances -----------------------------------------------------------

    def list_existing(self) -> list[InstanceRow]:
        """Return the instances that are not deleted."""
        return [
            row
            for row in self.database.instances.values()
            if row.vm_state != states.DELETED
        ]

    def get_owner(self, instance: InstanceRow) -> Operation | None:
        """Return the live operation that owns an instance."""
        found = self.running_operations.get(str(instance.task_id))
        return found if found is not None and found.owns_instance else None

    def is_deleted(self, uuid: str) -> bool:
        """Tell whether an instance is known and gone."""
        row = self.database.instances.get(uuid)
        return row is not None and row.vm_state == states.DELETED

    def is_in_progress(self, migration: Migration) -> bool:
        """Tell whether a live operation makes, confirms or reverts a move."""
        return drives_migration(
            self._running_by_instance.get(migration.instance_uuid, ()),
            migration,
        )

    # -- what explains -------------------------------------------------------

    def has_open_step(self, uuid: str, host: str) -> bool:
        """Tell whether a host has an open step of an instance."""
        return (uuid, host) in self._open_step_hosts

    def is_explained(self, uuid: str, host: str) -> bool:
        """Tell whether something live accounts for what a host has."""
        if self.has_open_step(uuid, host):
            return True
        instance = self.database.instances.get(uuid)
        owner = self.get_owner(instance) if instance else None
        return owner is not None and host in self._hosts_by_operation.get(
            owner.id, ()
        )

    def is_resize_source(self, uuid: str, host: str) -> bool:
        """Tell whether a host is the source of a move that waits."""
        migration = self.waiting_migrations.get(uuid)
        return migration is not None and migration.source_host == host

    # -- guests --------------------------------------------------------------

    def list_running_hosts(self, uuid: str) -> list[str]:
        """Return the hosts on which a guest uses its disks."""
        return sorted(
            host
            for (host, other), artifact in self.artifacts.items()
            if other == uuid and is_running(artifact)
        )


def drives_migration(
    running: Iterable[Operation], migration: Migration
) -> bool:
    """Tell whether one of an instance's operations is about a move."""
    return any(
        operation.id == migration.operation_id
        or operation.params.get('migration') == migration.id
        for operation in running
    )


def is_running(artifact: HostArtifact) -> bool:
    """Tell whether a holding's guest uses its disks."""
    return artifact.power_state in states.POWERED_ON
