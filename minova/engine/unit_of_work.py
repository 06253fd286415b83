# SPDX-License-Identifier: Apache-2.0
"""What one transaction changes of an instance and of one operation on it.

A flow collects its changes here; ``flush`` writes all of them. The row of the
instance and that of the step are fenced: an update whose row is not as it was
read changes nothing and raises Stale.
"""

from collections.abc import Sequence
import dataclasses
import datetime
from typing import Any
from typing import Self

import sqlalchemy as sa

from minova import clock
from minova import exception
from minova import network
from minova import states
from minova.db.queries import hosts
from minova.db.queries import instances
from minova.db.queries import migrations
from minova.db.queries import operations
from minova.engine import migration_records
from minova.engine import operation_log
from minova.engine import step_records
from minova.engine import wait_reason
from minova.engine.resource_claims import ResourceClaims
from minova.exception import serialization
from minova.flows import base
from minova.flows.base import ArgsT
from minova.objects import operation as records
from minova.objects.checkpoints import Checkpoint
from minova.objects.flavor import Flavor
from minova.objects.instance import Instance
from minova.objects.migration import Migration
from minova.objects.operation_params import ResetStateParams
from minova.objects.operation_params import UnconfirmedResizeParams
from minova.objects.step import Wakeup


class UnitOfWork(ResourceClaims):
    """What one transaction changes of an instance and of one operation."""

    def __init__(
        self,
        connection: sa.Connection,
        instance: Instance,
        operation: records.Operation,
        step: records.Step | None,
        publisher: str,
        last_number: int = 0,
        new_operation: bool = False,
        new_instance: bool = False,
    ) -> None:
        """Collect changes from now on.

        ``last_number`` is the number of the operation's newest step. The
        database does not have a ``new_operation``, or a ``new_instance``, yet.
        """
        super().__init__(
            connection, instance, operation, step, publisher, new_operation
        )
        self.wakeups: list[Wakeup] = []
        #: They begin in the transaction that ends this one.
        self.follow_ups: list[base.FollowUp] = []
        self._last_number = last_number
        self._new_instance = new_instance
        self._step_as_read = step_records.copy_of(step) if step else None
        self._operation_as_read = dataclasses.replace(operation)
        self._fence_as_read = (instance.generation, instance.task_id)
        self._changed_fields: dict[str, Any] = {}
        self._migration: Migration | None = None

    @classmethod
    def of(
        cls,
        connection: sa.Connection,
        loaded: operations.LockedStep,
        publisher: str,
    ) -> Self:
        """Return the unit of work of a step that was locked."""
        return cls(
            connection,
            loaded.instance,
            loaded.operation,
            loaded.step,
            publisher,
            loaded.last_number,
        )

    # -- step, rule, migration -----------------------------------------------

    @property
    def step(self) -> records.Step:
        """The step that starts, saves a checkpoint, finishes or is undone."""
        assert self._step is not None
        return self._step

    @property
    def rule(self) -> states.Rule:
        """The row of the state table for the operation."""
        return states.TABLE[self.operation.kind]

    @property
    def migration(self) -> Migration:
        """The migration that the operation creates, ends or has preempted."""
        found = self.find_migration()
        if found is None:
            raise LookupError(
                f'Operation {self.operation.id} has no migration'
            )
        return found

    def find_migration(self) -> Migration | None:
        """Return the operation's migration, None when it has none."""
        if self._migration is None:
            params = self.operation.params
            if isinstance(params, (UnconfirmedResizeParams, ResetStateParams)):
                if params.migration_id is not None:
                    self._migration = migrations.get(
                        self.connection, params.migration_id
                    )
            elif not self._new_operation:
                self._migration = migrations.get_by_operation(
                    self.connection, self.operation.id
                )
        return self._migration

    # -- the instance --------------------------------------------------------

    def begin(self) -> None:
        """Take the instance for the operation; ``check_begin`` is passed."""
        self._apply(states.begin(self.rule, self.instance, self.operation.id))
        if self.rule.owns_instance and self.rule.task_states:
            self.emit_update()

    def set_task_state(self, task_state: str) -> None:
        """Change the task state and emit the update."""
        self._apply(
            states.advance(self.operation.kind, self.instance, task_state)
        )
        self.emit_update()

    def update_instance(self, **fields: Any) -> None:
        """Change fields of the instance other than its states.

        The audit of its usage begins with its first launch.
        """
        if 'launched_at' in fields and not self.instance.usage_audited_until:
            fields['usage_audited_until'] = fields['launched_at']
        for name, value in fields.items():
            setattr(self.instance, name, value)
        self._changed_fields.update(fields)

    def set_host(self, host: str | None, node: str | None) -> None:
        """Make a host the owner of the instance; its zone comes with it.

        Without a host the instance has the zone that its user requested.
        """
        zone = self.instance.request_spec.availability_zone
        if host is not None:
            (row,) = hosts.list_hosts(self.connection, host)
            zone = row.availability_zone
        self.update_instance(host=host, node=node, availability_zone=zone)

    def set_vm_state(self, vm_state: str) -> None:
        """Change the vm_state for power reconciliation, or a reset."""
        self._apply(states.set_vm_state(self.instance, vm_state))
        self.emit_update()

    def finish(self, old_vm_state: str | None = None) -> None:
        """Succeed: release the instance in its new vm_state."""
        self._release_instance(
            states.succeed(self.operation.kind, self.instance, old_vm_state)
        )
        self.operation.owns_instance = False
        self.operation.outcome = records.DONE

    def fail(
        self,
        error: exception.MinovaException,
        to_error: bool = False,
        end_event: str | None = None,
    ) -> None:
        """Fail: release the instance and record a fault.

        The instance returns to its old vm_state, or goes to error with
        ``to_error``. Every open span gets its error, but ``end_event`` its
        end.
        """
        self._release_instance(
            states.fail(self.operation.kind, self.instance, to_error)
        )
        in_error = self.instance.vm_state == states.ERROR
        self.operation.outcome = (
            records.FAILED if in_error or to_error else records.ROLLED_BACK
        )
        self.operation.owns_instance = False
        self.operation.error = serialization.encode(error)
        for event in self.open_events():
            if event == end_event:
                self.emit_end(event)
            else:
                self.emit_error(event, error)
        self.record_fault(error)

    def _release_instance(self, change: states.StateChange) -> None:
        """Release the instance, if it is owned; emit a change of states."""
        at_once = self.rule.ownership in (
            states.Ownership.IMMEDIATE,
            states.Ownership.PREEMPT_IMMEDIATE,
        )
        if self.operation.owns_instance or (self._new_operation and at_once):
            before = self.instance.vm_state, self.instance.task_state
            self._apply(change)
            if before != (self.instance.vm_state, self.instance.task_state):
                self.emit_update()

    def _apply(self, change: states.StateChange) -> None:
        new = vars(change)
        self.update_instance(
            **{
                name: value
                for name, value in new.items()
                if value != getattr(self.instance, name)
            }
        )

    def record_fault(self, error: exception.MinovaException) -> None:
        """Record a fault, which the API shows of an instance in error."""
        instances.add_fault(
            self.connection,
            self.instance.uuid,
            self.operation.id,
            error,
            self._step.host if self._step else None,
            self.now,
        )

    # -- steps ---------------------------------------------------------------

    def enqueue(
        self,
        step: type[base.BaseStep[ArgsT, Any]],
        args: ArgsT,
        host: str | None = None,
        nested: bool = False,
        detached: bool = False,
        undoes: str | None = None,
        checkpoints: Sequence[Checkpoint] = (),
        not_before: datetime.datetime | None = None,
    ) -> None:
        """Make ``step`` the next step of a host, or of any conductor.

        A ``nested`` step gets no wake-up: the step that enqueues it calls it.
        The operation does not wait for the end of a ``detached`` step. The
        step begins with ``checkpoints`` already passed. The sweeper starts a
        step of a conductor that must run ``not_before`` a time.
        """
        topic = (
            'compute' if issubclass(step, base.ComputeStep) else 'conductor'
        )
        if topic == 'compute' and host is None:
            raise ValueError(f'{step.method} needs a host')
        self._last_number += 1
        self.operation.open_step_count += 1
        record = records.Step(
            id=clock.uuid4(),
            operation_id=self.operation.id,
            instance_uuid=self.instance.uuid,
            number=self._last_number,
            method=step.method,
            topic=topic,
            host=host,
            args=args,
            state=records.PENDING,
            undoes=undoes,
            nested=nested,
            detached=detached,
            incarnation=None,
            checkpoints=list(checkpoints),
            open_events=[],
            attempts=0,
            result=None,
            error=None,
            not_before=not_before,
            created_at=self.now,
            started_at=None,
            finished_at=None,
        )
        self._pending.append(record)
        if not_before is not None:
            self.operation.wait_reason = wait_reason.begin(record)
            self.operation.waiting_since = self.now
        elif not nested:
            self.wakeups.append(step_records.wakeup_for(record))

    def finish_step(self, state: str) -> None:
        """End the step of this unit of work in ``state``."""
        self.step.state = state
        self.step.finished_at = self.now
        self.operation.open_step_count -= 1
        wait_reason.clear(self.operation, self.step)

    def finish_other_step(self, step: records.Step, state: str) -> None:
        """End another open step in ``state``."""
        self.operation.open_step_count -= 1
        wait_reason.clear(self.operation, step)
        self.set_step_state(step, state)

    def set_step_state(self, step: records.Step, state: str) -> None:
        """Write the state of another step."""
        before = dataclasses.replace(step)
        step.state = state
        step.finished_at = step.finished_at or self.now
        if self._step is not None and step.id == self._step.id:
            return
        if not operations.update_step(
            self.connection,
            before,
            {'state': state, 'finished_at': step.finished_at},
        ):
            raise step_records.stale(self.operation)

    def restart(self) -> None:
        """Begin again after the unwinding, instead of failing."""
        operation_log.log(
            self.connection, self.operation, 'tries another host'
        )
        self.operation.unwinding = False
        self.operation.error = None
        self._apply(states.restart(self.operation.kind, self.instance))
        self.emit_update()

    def request_abort(self) -> None:
        """Ask the owner of the instance to abort."""
        self._set_owner_params(abort_requested=self.operation.id)

    def request_force(self) -> None:
        """Ask the owner of the instance to complete at the guest's cost."""
        self._set_owner_params(force_requested=self.operation.id)

    def _set_owner_params(self, **changes: str) -> None:
        assert self.instance.task_id is not None
        owner = operations.get(self.connection, self.instance.task_id)
        assert owner is not None
        operations.update(
            self.connection,
            owner.id,
            {'params': owner.params.replace(**changes)},
        )

    # -- resources -----------------------------------------------------------

    def list_busy_hosts(self) -> list[str]:
        """Return the hosts that have open steps of the instance."""
        uuid = self.instance.uuid
        found = operations.list_open_steps_of_instance(self.connection, uuid)
        return [step.host for step in found if step.host is not None]

    def release_ports(self) -> None:
        """Release the ports and addresses of an instance that is deleted."""
        if self.instance.network_info:
            network.load().release(self.connection, self.instance.uuid)
            self.update_instance(network_info=[])

    def detach_nic(self, port_id: str) -> None:
        """Release one port and its address; nothing if it is released."""
        nics = self.instance.network_info
        left = [nic for nic in nics if nic['id'] != port_id]
        if len(left) < len(nics):
            network.load().release_port(self.connection, port_id)
            self.update_instance(network_info=left)

    # -- the migration -------------------------------------------------------

    def begin_migration(
        self,
        kind: str,
        dest_host: str | None,
        dest_node: str | None,
        dest_ip: str | None,
        new_flavor: Flavor,
    ) -> None:
        """Write the record of a migration, or its next destination."""
        known = self.find_migration()
        if known is None:
            migration_records.begin(
                self.connection,
                self.operation,
                self.instance,
                kind,
                dest_host,
                dest_node,
                dest_ip,
                new_flavor,
                self.now,
            )
        else:
            migration_records.change_destination(
                self.connection, known, dest_host, dest_node, dest_ip, self.now
            )

    def advance_migration(self, status: str) -> None:
        """Change the migration's status.

        Raises IllegalTransition when ``migration_states`` does not allow it.
        """
        migration_records.advance(
            self.connection, self.migration, status, self.now
        )

    def end_migration(self, status: str) -> None:
        """Change the status, if there is a migration that has not ended."""
        known = self.find_migration()
        if known is not None:
            migration_records.end(self.connection, known, status, self.now)

    def save_migration(self, **byte_counts: int | None) -> None:
        """Change the byte counts of the migration."""
        migration_records.save(
            self.connection, self.migration, self.now, **byte_counts
        )

    # -- writing -------------------------------------------------------------

    def flush(self) -> list[Wakeup]:
        """Write all changes; return the wake-ups that the caller sends.

        Raises Stale when another operation has taken the instance, or another
        service the step; the transaction then writes nothing.
        """
        self._write_instance()
        if self._step is not None:
            self._write_step(self._step)
        self._write_operation()
        if self._pending:
            operations.insert_steps(self.connection, self._pending)
        self.write_notices()
        return self.wakeups

    def _write_instance(self) -> None:
        newest = self.number_notices()
        if newest != self.instance.notification_seq:
            self.update_instance(notification_seq=newest)
        if self._new_instance:
            values = self.instance.as_dict()
            del values['id']
            self.instance.id = instances.insert(self.connection, values)
        elif self._changed_fields:
            self.update_instance(updated_at=self.now)
            generation, task_id = self._fence_as_read
            written = instances.update(
                self.connection,
                self.instance.uuid,
                self._changed_fields,
                generation=generation,
                task_id=task_id,
            )
            if not written:
                raise step_records.stale(self.operation)

    def _write_step(self, step: records.Step) -> None:
        assert self._step_as_read is not None
        values = step_records.difference(self._step_as_read, step)
        if values and not operations.update_step(
            self.connection, self._step_as_read, values
        ):
            raise step_records.stale(self.operation)

    def _write_operation(self) -> None:
        operation = self.operation
        if self._new_operation:
            operation_log.log_begin(self.connection, operation)
        if operation.open_step_count == 0:
            if operation.owns_instance:
                raise AssertionError(
                    f'{operation_log.describe(operation)}: the flow ended '
                    'without releasing the instance'
                )
            operation.state = operation.outcome or records.DONE
            operation.finished_at = self.now
            operation.wait_reason = operation.waiting_since = None
            operation_log.log_end(self.connection, operation)
        if self._new_operation:
            operations.insert(self.connection, operation)
            return
        values = step_records.difference(self._operation_as_read, operation)
        if values:
            values['updated_at'] = self.now
            operations.update(self.connection, operation.id, values)
