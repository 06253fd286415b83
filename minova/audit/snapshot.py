# SPDX-License-Identifier: Apache-2.0
"""The snapshot: rows and host contents, and what explains a difference.

Artifacts of an instance, or an allocation, on a host other than the
instance's own are no fault when they are explained by

* the running operation that owns the instance, on every host of its steps and
  of its migration;
* an open step on that host: work in progress or a pending clean-up;
* an unconfirmed migration: its source keeps the old guest, powered off, and
  the retained disks.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import datetime

from minova import migration_states
from minova import states
from minova.audit.findings import Finding
from minova.db.queries.audit_snapshot import DatabaseSnapshot
from minova.db.queries.audit_snapshot import InstanceRow
from minova.db.queries.hosts import Resources
from minova.objects import operation as records
from minova.objects import step_args
from minova.objects.host import HostArtifact
from minova.objects.migration import Migration
from minova.objects.operation import Operation
from minova.objects.operation_params import UnconfirmedResizeParams

HostContents = Mapping[str, Sequence[HostArtifact]]


class Snapshot:
    """The input of the rules, indexed once."""

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
                # Also one that confirms or reverts another's migration.
                if drives_migration([operation], migration):
                    hosts = self._hosts_by_operation.setdefault(
                        operation.id, set()
                    )
                    hosts.update(
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
        hosts = {step.host, *step_args.recheck_hosts(step.args)}
        self._hosts_by_operation.setdefault(step.operation_id, set()).update(
            hosts
        )
        if step.state in records.OPEN:
            uuid = step.instance_uuid
            self._open_step_hosts.update((uuid, host) for host in hosts)

    # -- instances -----------------------------------------------------------

    def list_existing(self) -> list[InstanceRow]:
        """Return the rows of the instances that are not deleted."""
        return [
            row
            for row in self.database.instances.values()
            if row.vm_state != states.DELETED
        ]

    def get_owner(self, instance: InstanceRow) -> Operation | None:
        """Return the running operation that owns an instance."""
        found = self.running_operations.get(str(instance.task_id))
        return found if found is not None and found.owns_instance else None

    def is_in_progress(self, migration: Migration) -> bool:
        """Tell whether a running operation drives a migration."""
        return drives_migration(
            self._running_by_instance.get(migration.instance_uuid, ()),
            migration,
        )

    def instance_finding(
        self,
        name: str,
        text: str,
        uuid: str,
        *,
        host: str | None = None,
        operation: str | None = None,
        subject: str = '',
        is_repairable: bool = True,
        resources: Resources | None = None,
        guest_generation: int | None = None,
    ) -> Finding:
        """Return a finding about an instance, with its generation."""
        row = self.database.instances.get(uuid)
        return Finding(
            name,
            text,
            host=host,
            instance=uuid,
            operation=operation,
            generation=row.generation if row else None,
            subject=subject,
            is_repairable=is_repairable,
            resources=resources,
            guest_generation=guest_generation,
        )

    # -- explanations --------------------------------------------------------

    def has_open_step(self, uuid: str, host: str) -> bool:
        """Tell whether a host has an open step of an instance."""
        return (uuid, host) in self._open_step_hosts

    def is_explained(self, uuid: str, host: str) -> bool:
        """Tell whether an operation explains the artifacts on a host."""
        if self.has_open_step(uuid, host):
            return True
        instance = self.database.instances.get(uuid)
        owner = self.get_owner(instance) if instance else None
        return owner is not None and host in self._hosts_by_operation.get(
            owner.id, ()
        )

    def is_resize_source(self, uuid: str, host: str) -> bool:
        """Tell whether a host is the source of an unconfirmed migration."""
        migration = self.waiting_migrations.get(uuid)
        return migration is not None and migration.source_host == host

    # -- guests --------------------------------------------------------------

    def list_running_hosts(self, uuid: str) -> list[str]:
        """Return the hosts on which the guest of an instance runs."""
        return sorted(
            host
            for (host, other), artifact in self.artifacts.items()
            if other == uuid and is_running(artifact)
        )


def drives_migration(
    running: Iterable[Operation], migration: Migration
) -> bool:
    """Tell whether an operation creates, confirms or reverts a migration."""
    return any(
        operation.id == migration.operation_id
        or (
            isinstance(operation.params, UnconfirmedResizeParams)
            and operation.params.migration_id == migration.id
        )
        for operation in running
    )


def is_running(artifact: HostArtifact) -> bool:
    """Tell whether the guest is on, so that it may write to its disks."""
    return artifact.power_state in states.POWERED_ON
