# SPDX-License-Identifier: Apache-2.0
"""Rules about operations, their steps, task states and moves: invariants 3 and 4."""

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
    """Compare what is to be done with who does it."""
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
        if instance.task_state is None:
            yield _instance_finding(
                instance, 'task_state_missing', f'Its owner is {owner.kind}.'
            )
        return
    if instance.task_id is not None or instance.task_state is not None:
        task = instance.task_state or 'in no task state'
        yield _instance_finding(
            instance,
            'task_without_owner',
            f'It is {task}, by operation {instance.task_id}: '
            f'{_describe_operation(snapshot, instance.task_id)}.',
        )
        return
    if instance.vm_state == states.BUILDING:
        yield _instance_finding(
            instance, 'build_without_owner', 'It has no task.'
        )
    waits = instance.uuid in snapshot.waiting_migrations
    if instance.vm_state == states.RESIZED and not waits:
        yield _instance_finding(
            instance,
            'resized_without_migration',
            'No migration of it is finished.',
        )


def _describe_operation(snapshot: Snapshot, task_id: str | None) -> str:
    if task_id is None:
        return 'none is named'
    found = snapshot.database.operations.get(task_id)
    if found is None:
        return 'there is none of that id'
    if found.state == records.RUNNING:
        return f'that {found.kind} has let go of it'
    return f'that {found.kind} is {found.state}'


def _instance_finding(instance: InstanceRow, name: str, text: str) -> Finding:
    return Finding(
        name,
        text,
        host=instance.host,
        instance=instance.uuid,
        operation=instance.task_id,
        generation=instance.generation,
    )


# -- operations --------------------------------------------------------------


def _check_operation(
    snapshot: Snapshot, operation: Operation, count: int
) -> Iterator[Finding]:
    what = f'{operation.kind} of generation {operation.generation}'
    row = snapshot.database.instances.get(operation.instance_uuid)
    owned = row is not None and row.task_id == operation.id
    if operation.owns_instance and not owned:
        holder = row.task_id if row else None
        yield _operation_finding(
            snapshot,
            operation,
            'operation_lost_instance',
            f'{what}: the instance is held by {holder or "nobody"}.',
        )
    elif count == 0:
        yield _operation_finding(
            snapshot,
            operation,
            'operation_without_step',
            f'{what} counts {operation.open_step_count} and has none.',
        )
    elif count != operation.open_step_count:
        yield _operation_finding(
            snapshot,
            operation,
            'operation_step_count',
            f'{what} counts {operation.open_step_count} and has {count}.',
        )
    elif operation.wait_reason is not None:
        yield _operation_finding(
            snapshot,
            operation,
            'operation_waiting',
            f'{what} waits for {operation.wait_reason}.',
        )
    elif snapshot.now > operation.deadline + _sweep_grace():
        since = f'{operation.deadline:%Y-%m-%d %H:%M:%S} UTC'
        yield _operation_finding(
            snapshot,
            operation,
            'operation_stuck',
            f'{what} should have ended at {since}.',
        )


def _sweep_grace() -> datetime.timedelta:
    """Return the time in which a sweeper surely has seen to it."""
    options = CONF.conductor
    return datetime.timedelta(
        seconds=2 * (options.sweep_interval + options.lease_time)
        + options.service_down_time
    )


def _operation_finding(
    snapshot: Snapshot, operation: Operation, name: str, text: str
) -> Finding:
    row = snapshot.database.instances.get(operation.instance_uuid)
    return Finding(
        name,
        text,
        host=row.host if row else None,
        instance=operation.instance_uuid,
        operation=operation.id,
        generation=row.generation if row else None,
        repairable=row is not None,
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
                repairable=step.detached or not operation.owns_instance,
            )


def _step_finding(
    snapshot: Snapshot,
    step: Step,
    name: str,
    text: str,
    repairable: bool = True,
) -> Finding:
    row = snapshot.database.instances.get(step.instance_uuid)
    return Finding(
        name,
        text,
        host=step.host,
        instance=step.instance_uuid,
        operation=step.operation_id,
        generation=row.generation if row else None,
        subject=step.id,
        repair_args={'step': step.id},
        repairable=repairable,
    )


# -- moves -------------------------------------------------------------------


def _check_migration(
    snapshot: Snapshot, migration: Migration
) -> Iterator[Finding]:
    if snapshot.waiting_migrations.get(migration.instance_uuid) is migration:
        return
    row = snapshot.database.instances.get(migration.instance_uuid)
    if snapshot.is_in_progress(migration):
        return
    state = row.vm_state if row else 'unknown'
    yield Finding(
        'migration_left_open',
        f'The {migration.kind} from {migration.source_host} to {migration.dest_host} is '
        f'{migration.status}; the instance is {state}.',
        host=row.host if row else None,
        instance=migration.instance_uuid,
        operation=migration.operation_id,
        generation=row.generation if row else None,
        subject=str(migration.id),
        repair_args={'move': migration.id},
        repairable=row is not None,
    )
