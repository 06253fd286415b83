# SPDX-License-Identifier: Apache-2.0
"""Repairs of operations, steps and migrations."""

from minova import clock
from minova import exception
from minova import migration_states
from minova import states
from minova.audit.findings import Finding
from minova.audit.preconditions import lock_instance
from minova.audit.preconditions import stale_error
from minova.audit.snapshot import drives_migration
from minova.context import get_admin_context
from minova.db.connections.engine import Connection
from minova.db.queries import hosts
from minova.db.queries import instances
from minova.db.queries import migrations
from minova.db.queries import operations
from minova.engine import migration_records
from minova.engine import operator_actions
from minova.engine.notice_buffer import NoticeBuffer
from minova.engine.unit_of_work import UnitOfWork
from minova.notifications import events
from minova.objects import operation as records
from minova.objects.instance import Instance
from minova.objects.operation import Operation
from minova.objects.operation_params import NoParams


def release_instance(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Release an instance whose owner has ended; emit its update."""
    instance = lock_instance(connection, finding)
    if instance.task_id != finding.operation:
        raise stale_error(f'Instance {instance.uuid}')
    owner = None
    if instance.task_id is not None:
        owner = operations.get(connection, instance.task_id)
    if (
        owner is not None
        and owner.owns_instance
        and owner.state == records.RUNNING
    ):
        raise stale_error(f'Instance {instance.uuid}')
    kind = owner.kind if owner else None
    before = f'vm_state {instance.vm_state}, task_state {instance.task_state}'
    _write_release(connection, instance, kind, owner, publisher)
    error = exception.OperationFailed(
        cause=kind or 'An operation',
        reason=f'it ended without releasing the instance ({before}); an '
        'audit released it',
    )
    instances.add_fault(
        connection,
        instance.uuid,
        finding.operation,
        error,
        instance.host,
        clock.now(),
    )
    return f'The instance is released and {instance.vm_state}; see its fault.'


def _write_release(
    connection: Connection,
    instance: Instance,
    kind: str | None,
    owner: Operation | None,
    publisher: str,
) -> None:
    generation, task_id = instance.generation, instance.task_id
    notices = NoticeBuffer(
        connection,
        instance,
        owner or _placeholder_operation(instance),
        None,
        events.publisher_id('conductor', publisher),
        new_operation=True,
    )
    change = vars(states.release_instance(instance, kind))
    for name, value in change.items():
        setattr(instance, name, value)
    notices.emit_update()
    change['notification_seq'] = notices.number_notices()
    change['updated_at'] = notices.now
    if not instances.update(
        connection,
        instance.uuid,
        change,
        generation=generation,
        task_id=task_id,
    ):
        raise stale_error(f'Instance {instance.uuid}')
    notices.write_notices()


def _placeholder_operation(instance: Instance) -> Operation:
    """Return an operation for the notification of an unknown owner."""
    now = clock.now()
    number = instance.task_id or clock.uuid4()
    return Operation(
        id=number,
        instance_uuid=instance.uuid,
        kind='unknown',
        generation=instance.generation,
        state=records.FAILED,
        owns_instance=False,
        outcome=records.FAILED,
        unwinding=False,
        old_vm_state=instance.vm_state,
        open_step_count=0,
        request_id='',
        user_id=None,
        project_id=None,
        context=get_admin_context().to_dict(),
        params=NoParams(),
        error=None,
        wait_reason=None,
        waiting_since=None,
        incidents=0,
        deadline=now,
        started_at=now,
        updated_at=now,
        finished_at=now,
    )


# -- operations --------------------------------------------------------------


def end_operation(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """End an operation that has lost its instance."""
    instance = lock_instance(connection, finding)
    operation = _require_running(connection, finding)
    if not operation.owns_instance or instance.task_id == operation.id:
        raise stale_error(f'Operation {operation.id}')
    error = exception.Preempted(operation=operation.kind, by='audit')
    uow = _unit_of_work(connection, instance, operation, publisher)
    for event in uow.open_events():
        uow.emit_error(event, error)
    operations.close_open_steps(
        connection, operation.id, records.PREEMPTED, uow.now
    )
    operation.owns_instance = False
    operation.open_step_count = 0
    operation.outcome = records.PREEMPTED
    uow.flush()
    return f'{operation.kind} {operation.id} is ended as preempted.'


def recount_steps(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Recount the open steps; end an operation that has none."""
    instance = lock_instance(connection, finding)
    operation = _require_running(connection, finding)
    steps = operations.list_steps(connection, operation.id)
    count = sum(step.state in records.OPEN for step in steps)
    if count and count == operation.open_step_count:
        raise stale_error(f'Operation {operation.id}')
    uow = _unit_of_work(connection, instance, operation, publisher)
    operation.open_step_count = count
    if count == 0 and operation.owns_instance:
        error = exception.OperationFailed(
            cause=operation.kind,
            reason='it had no open step; an audit ended it',
        )
        uow.fail(error, to_error=True)
    uow.flush()
    if count:
        return f'{operation.kind} {operation.id} has {count} open steps.'
    return f'{operation.kind} {operation.id} is ended as {operation.state}.'


def _require_running(connection: Connection, finding: Finding) -> Operation:
    found = operations.get(connection, str(finding.operation))
    if found is None or found.state != records.RUNNING:
        raise stale_error(f'Operation {finding.operation}')
    return found


def _unit_of_work(
    connection: Connection,
    instance: Instance,
    operation: Operation,
    publisher: str,
) -> UnitOfWork:
    return UnitOfWork(
        connection,
        instance,
        operation,
        None,
        events.publisher_id('conductor', publisher),
    )


# -- steps, migrations -------------------------------------------------------


def close_steps(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Close the open steps of an operation that has ended."""
    lock_instance(connection, finding)
    number = str(finding.operation)
    found = operations.get(connection, number)
    if found is not None and found.state == records.RUNNING:
        raise stale_error(f'Operation {number}')
    operations.close_open_steps(
        connection, number, records.PREEMPTED, clock.now()
    )
    return 'The step is closed as preempted.'


def abandon_step(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Close a step on a host without a compute service."""
    lock_instance(connection, finding)
    host = str(finding.host)
    if hosts.list_services(connection, operations.COMPUTE_BINARY, host):
        raise stale_error(f'Host {host}')
    loaded = operations.lock_step(connection, finding.subject)
    if loaded is None or loaded.step.state not in records.OPEN:
        raise stale_error(f'Step {finding.subject}')
    uow = UnitOfWork.of(
        connection, loaded, events.publisher_id('conductor', publisher)
    )
    uow.finish_step(records.PREEMPTED)
    uow.flush()
    operator_actions.requeue_cleanup(connection, [loaded.step])
    return f'The step {loaded.step.method} is closed as preempted.'


def close_migration(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Set a migration without an operation to error."""
    instance = lock_instance(connection, finding)
    migration = migrations.get(connection, int(finding.subject))
    if migration is None or migration.status in migration_states.FINAL:
        raise stale_error(f'Migration {finding.subject}')
    running = [
        operation
        for operation in operations.list_by_instance(connection, instance.uuid)
        if operation.state == records.RUNNING
    ]
    if drives_migration(running, migration):
        raise stale_error(f'Migration {migration.id}')
    migration_records.advance(
        connection, migration, migration_states.ERROR, clock.now()
    )
    return f'Migration {migration.id} is set to error.'
