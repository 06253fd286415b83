# SPDX-License-Identifier: Apache-2.0
"""Rules about operations, steps, task states, migrations: invariants 3, 4."""

import collections
from collections.abc import Iterator
import datetime

from minova import states
from minova.audit.findings import Finding
from minova.audit.snapshot import Snapshot
from minova.conf import CONF
from minova.db.queries.audit_snapshot import InstanceRow
from minova.objects import operation as records
from minova.objects.migration import Migration
from minova.objects.operation import Operation
from minova.objects.operation import Step


def find(snapshot: Snapshot) -> Iterator[Finding]:
    """Compare operations with their steps, instances and migrations."""
    for instance in snapshot.list_existing():
        yield from _check_task(snapshot, instance)
    counts = collections.Counter(
        step.operation_id
        for step in snapshot.database.steps
        if step.state in records.OPEN
    )
    for operation in snapshot.running_operations.values():
        yield from _check_operation(snapshot, operation, counts[operation.id])
    yield from _check_steps(snapshot)
    for migration in snapshot.database.migrations:
        yield from _check_migration(snapshot, migration)


# -- task states -------------------------------------------------------------


def _check_task(
    snapshot: Snapshot, instance: InstanceRow
) -> Iterator[Finding]:
    owner = snapshot.get_owner(instance)
    if owner is not None:
        if (
            instance.task_state is None
            and states.TABLE[owner.kind].task_states
        ):
            yield _task_finding(
                snapshot,
                instance,
                'task_state_missing',
                f'The owner is {owner.kind}.',
            )
        return
    if instance.task_id is not None or instance.task_state is not None:
        yield _task_finding(
            snapshot,
            instance,
            'task_without_owner',
            f'The task state is {instance.task_state or "none"}; '
            f'{_describe_operation(snapshot, instance.task_id)}.',
        )
        return
    if instance.vm_state == states.BUILDING:
        yield _task_finding(
            snapshot,
            instance,
            'build_without_owner',
            'The instance has no task.',
        )
    has_migration = instance.uuid in snapshot.waiting_migrations
    if instance.vm_state == states.RESIZED and not has_migration:
        yield _task_finding(
            snapshot,
            instance,
            'resized_without_migration',
            'No migration of the instance is finished.',
        )
    if instance.vm_state == states.SOFT_DELETE and not instance.deleted_at:
        yield _task_finding(
            snapshot,
            instance,
            'soft_delete_without_time',
            'No conductor reclaims the instance.',
        )
    offloaded = instance.vm_state == states.SHELVED_OFFLOADED
    if offloaded and instance.shelved_image_id is None:
        yield _task_finding(
            snapshot,
            instance,
            'offloaded_without_image',
            'The instance cannot be unshelved.',
        )


def _describe_operation(snapshot: Snapshot, task_id: str | None) -> str:
    if task_id is None:
        return 'the instance names no operation'
    found = snapshot.database.operations.get(task_id)
    if found is None:
        return f'operation {task_id} is unknown'
    if found.state == records.RUNNING:
        return f'{found.kind} {task_id} runs but has released the instance'
    return f'{found.kind} {task_id} is {found.state}'


def _task_finding(
    snapshot: Snapshot, instance: InstanceRow, name: str, text: str
) -> Finding:
    return snapshot.instance_finding(
        name,
        text,
        instance.uuid,
        host=instance.host,
        operation=instance.task_id,
    )


# -- operations --------------------------------------------------------------


def _check_operation(
    snapshot: Snapshot, operation: Operation, count: int
) -> Iterator[Finding]:
    what = f'{operation.kind} of generation {operation.generation}'
    row = snapshot.database.instances.get(operation.instance_uuid)
    owner = row.task_id if row else None
    if operation.owns_instance and owner != operation.id:
        yield _operation_finding(
            snapshot,
            operation,
            'operation_lost_instance',
            f'{what}: the owner of the instance is operation {owner}.'
            if owner
            else f'{what}: the instance has no owner.',
        )
    elif count != operation.open_step_count or count == 0:
        yield _operation_finding(
            snapshot,
            operation,
            'operation_step_count' if count else 'operation_without_step',
            f'{what} counts {operation.open_step_count} open steps and has '
            f'{count}.',
        )
    elif operation.wait_reason is not None:
        yield _operation_finding(
            snapshot,
            operation,
            'operation_waiting',
            f'{what} waits for {operation.wait_reason}.',
        )
    elif snapshot.now > operation.deadline + _sweep_grace():
        yield _operation_finding(
            snapshot,
            operation,
            'operation_stuck',
            f'The deadline of {what} was '
            f'{operation.deadline:%Y-%m-%d %H:%M:%S} UTC.',
        )


def _sweep_grace() -> datetime.timedelta:
    """Return the time within which a sweeper handles an expired deadline."""
    options = CONF.conductor
    return datetime.timedelta(
        seconds=2 * (options.sweep_interval + options.lease_time)
        + options.service_down_time
    )


def _operation_finding(
    snapshot: Snapshot, operation: Operation, name: str, text: str
) -> Finding:
    row = snapshot.database.instances.get(operation.instance_uuid)
    return snapshot.instance_finding(
        name,
        text,
        operation.instance_uuid,
        host=row.host if row else None,
        operation=operation.id,
        is_repairable=row is not None,
    )


# -- steps -------------------------------------------------------------------


def _check_steps(snapshot: Snapshot) -> Iterator[Finding]:
    computes = {service.host for service in snapshot.database.compute_services}
    for step in snapshot.database.steps:
        if step.state not in records.OPEN:
            continue
        operation = snapshot.running_operations.get(step.operation_id)
        if operation is None:
            yield _step_finding(
                snapshot,
                step,
                'step_left_open',
                f'{step.method} is {step.state}; '
                f'{_describe_operation(snapshot, step.operation_id)}.',
            )
        elif step.topic == 'compute' and step.host not in computes:
            yield _step_finding(
                snapshot,
                step,
                'step_without_service',
                f'{step.method} of {operation.kind} is {step.state}.',
                is_repairable=step.detached or not operation.owns_instance,
            )


def _step_finding(
    snapshot: Snapshot,
    step: Step,
    name: str,
    text: str,
    is_repairable: bool = True,
) -> Finding:
    return snapshot.instance_finding(
        name,
        text,
        step.instance_uuid,
        host=step.host,
        operation=step.operation_id,
        subject=step.id,
        is_repairable=is_repairable,
    )


# -- migrations --------------------------------------------------------------


def _check_migration(
    snapshot: Snapshot, migration: Migration
) -> Iterator[Finding]:
    if snapshot.waiting_migrations.get(migration.instance_uuid) is migration:
        return
    if snapshot.is_in_progress(migration):
        return
    row = snapshot.database.instances.get(migration.instance_uuid)
    state = row.vm_state if row else 'unknown'
    yield snapshot.instance_finding(
        'migration_left_open',
        f'The {migration.kind} from {migration.source_host} to '
        f'{migration.dest_host} is {migration.status}; the instance is '
        f'{state}.',
        migration.instance_uuid,
        host=row.host if row else None,
        operation=migration.operation_id,
        subject=str(migration.id),
        is_repairable=row is not None,
    )
