# SPDX-License-Identifier: Apache-2.0
"""Rules about operations, their steps, task states and moves: laws 3 and 4."""

import collections
from collections.abc import Iterator
import datetime

from minova import states
from minova.audit.findings import Finding
from minova.audit.view import View
from minova.conf import CONF
from minova.db.census import InstanceRow
from minova.objects import operation as records
from minova.objects.migration import Migration
from minova.objects.operation import Operation
from minova.objects.operation import Step


def find(view: View) -> Iterator[Finding]:
    """Compare what is to be done with who does it."""
    for instance in view.living():
        yield from _task(view, instance)
    counts = collections.Counter(
        step.operation_id
        for step in view.records.steps
        if step.state in records.OPEN
    )
    for operation in view.running.values():
        yield from _operation(view, operation, counts[operation.id])
    yield from _steps(view)
    for move in view.records.moves:
        yield from _move(view, move)


# -- task states -------------------------------------------------------------


def _task(view: View, instance: InstanceRow) -> Iterator[Finding]:
    owner = view.owner(instance)
    if owner is not None:
        if instance.task_state is None:
            yield _of(instance, 'task_half_set', f'Its owner is {owner.kind}.')
        return
    if instance.task_id is not None or instance.task_state is not None:
        task = instance.task_state or 'in no task state'
        yield _of(
            instance,
            'task_without_owner',
            f'It is {task}, by operation {instance.task_id}: '
            f'{_fate(view, instance.task_id)}.',
        )
        return
    if instance.vm_state == states.BUILDING:
        yield _of(instance, 'build_without_owner', 'It has no task.')
    waits = instance.uuid in view.waiting
    if instance.vm_state == states.RESIZED and not waits:
        yield _of(
            instance,
            'resized_without_move',
            'No migration of it is finished.',
        )


def _fate(view: View, task_id: str | None) -> str:
    if task_id is None:
        return 'none is named'
    found = view.records.operations.get(task_id)
    if found is None:
        return 'there is none of that id'
    if found.state == records.RUNNING:
        return f'that {found.kind} has let go of it'
    return f'that {found.kind} is {found.state}'


def _of(instance: InstanceRow, name: str, text: str) -> Finding:
    return Finding(
        name,
        text,
        host=instance.host,
        instance=instance.uuid,
        operation=instance.task_id,
        generation=instance.generation,
    )


# -- operations --------------------------------------------------------------


def _operation(
    view: View, operation: Operation, count: int
) -> Iterator[Finding]:
    what = f'{operation.kind} of generation {operation.generation}'
    row = view.records.instances.get(operation.instance_uuid)
    owned = row is not None and row.task_id == operation.id
    if operation.owns and not owned:
        holder = row.task_id if row else None
        yield _about(
            view,
            operation,
            'operation_disowned',
            f'{what}: the instance is held by {holder or "nobody"}.',
        )
    elif count == 0:
        yield _about(
            view,
            operation,
            'operation_without_step',
            f'{what} counts {operation.outstanding} and has none.',
        )
    elif count != operation.outstanding:
        yield _about(
            view,
            operation,
            'operation_miscounted',
            f'{what} counts {operation.outstanding} and has {count}.',
        )
    elif operation.waits_for is not None:
        yield _about(
            view,
            operation,
            'operation_waits',
            f'{what} waits for {operation.waits_for}.',
        )
    elif view.now > operation.deadline + _grace():
        since = f'{operation.deadline:%Y-%m-%d %H:%M:%S} UTC'
        yield _about(
            view,
            operation,
            'operation_stuck',
            f'{what} should have ended at {since}.',
        )


def _grace() -> datetime.timedelta:
    """Return the time in which a sweeper surely has seen to it."""
    options = CONF.conductor
    return datetime.timedelta(
        seconds=2 * (options.sweep_interval + options.lease_time)
        + options.service_down_time
    )


def _about(view: View, operation: Operation, name: str, text: str) -> Finding:
    row = view.records.instances.get(operation.instance_uuid)
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


def _steps(view: View) -> Iterator[Finding]:
    computes = {service.host for service in view.records.computes}
    for step in view.records.steps:
        if step.state not in records.OPEN:
            continue
        operation = view.running.get(step.operation_id)
        if operation is None:
            yield _step(
                view,
                step,
                'step_left_open',
                f'{step.method} is {step.state}; '
                f'{_fate(view, step.operation_id)}.',
            )
        elif step.topic == 'compute' and step.host not in computes:
            yield _step(
                view,
                step,
                'step_of_nobody',
                f'{step.method} of {operation.kind} is {step.state}.',
                repairable=step.detached or not operation.owns,
            )


def _step(
    view: View, step: Step, name: str, text: str, repairable: bool = True
) -> Finding:
    row = view.records.instances.get(step.instance_uuid)
    return Finding(
        name,
        text,
        host=step.host,
        instance=step.instance_uuid,
        operation=step.operation_id,
        generation=row.generation if row else None,
        subject=step.id,
        facts={'step': step.id},
        repairable=repairable,
    )


# -- moves -------------------------------------------------------------------


def _move(view: View, move: Migration) -> Iterator[Finding]:
    if view.waiting.get(move.instance_uuid) is move:
        return
    row = view.records.instances.get(move.instance_uuid)
    if view.is_being_made(move):
        return
    state = row.vm_state if row else 'unknown'
    yield Finding(
        'move_left_open',
        f'The {move.kind} from {move.source_host} to {move.dest_host} is '
        f'{move.status}; the instance is {state}.',
        host=row.host if row else None,
        instance=move.instance_uuid,
        operation=move.operation_id,
        generation=row.generation if row else None,
        subject=str(move.id),
        facts={'move': move.id},
        repairable=row is not None,
    )
