# SPDX-License-Identifier: Apache-2.0
"""What operators may do to an open operation.

*Retry* makes a step that waits for its next attempt due at once. *Abandon*
ends an operation in one transaction, fenced like every other: a service that
still runs a step of it is refused. The state on the hosts is unknown then, and
they are not touched.
"""

import dataclasses

from minova import exception
from minova import flows
from minova import migration_states
from minova import states
from minova.db.connections.engine import Connection
from minova.db.queries import hosts
from minova.db.queries import instances
from minova.db.queries import operations
from minova.engine import begin
from minova.engine import next_steps
from minova.engine import operation_log
from minova.engine.next_steps import NextStep
from minova.engine.step_records import stale
from minova.engine.unit_of_work import UnitOfWork
from minova.exception import serialization
from minova.notifications import events
from minova.objects import operation as records
from minova.objects import step_args
from minova.objects.instance import Instance
from minova.objects.operation_params import UnconfirmedResizeParams


@dataclasses.dataclass(frozen=True)
class AbandonResult:
    """The result of abandoning an operation.

    ``leftover_hosts`` may still have a guest or disks of the instance,
    ``claimed_hosts`` keep the claims of the instance, and ``cleanup_hosts``
    check again for stale guests of it.
    """

    operation: records.Operation
    instance: Instance
    was_owner: bool
    leftover_hosts: list[str]
    claimed_hosts: list[str]
    cleanup_hosts: list[str]


# -- retry -------------------------------------------------------------------


def retry(connection: Connection, operation_id: str) -> list[records.Step]:
    """Make the steps that wait for an attempt due; return these steps.

    Raises OperationNotFound, or Conflict for an operation that has ended.
    """
    operation = _open(connection, operation_id)
    paused = []
    for step in operations.list_open_steps_of_instance(
        connection, operation.instance_uuid
    ):
        if step.operation_id == operation.id and step.not_before is not None:
            if not operations.update_step(
                connection, step, {'not_before': None}
            ):
                raise stale(operation)
            paused.append(step)
    return paused


# -- abandon -----------------------------------------------------------------


def abandon(
    connection: Connection,
    operation_id: str,
    reason: str | None,
    force: bool,
    publisher: str,
) -> AbandonResult:
    """End an operation; an instance that it owns goes to error.

    Raises OperationNotFound, or Conflict when the operation has ended or,
    without ``force``, when a host that is up runs a step of it.
    """
    operation = _open(connection, operation_id)
    instance = instances.get(
        connection, operation.instance_uuid, lock=True, deleted=True
    )
    assert instance is not None
    if operation.owns_instance and instance.task_id != operation.id:
        raise stale(operation)
    predictions = next_steps.predict(connection, operation)
    if not force:
        _require_idle(operation, predictions)
    uow = UnitOfWork(
        connection,
        instance,
        operation,
        None,
        events.publisher_id('conductor', publisher),
    )
    owned = operation.owns_instance
    left = _find_leftover_hosts(uow)
    error = exception.Abandoned(
        operation=operation.kind,
        reason=f': {reason}' if reason else '',
        left=_describe_leftovers(operation, left),
    )
    operation_log.log(
        connection,
        operation,
        f'is abandoned by an operator: {error}',
        operation_log.WARNING,
    )
    _fail_operation(uow, error)
    held = _settle_claims(uow, left, owned)
    given_up = [step for step in uow.steps() if step.state in records.OPEN]
    _preempt(uow, given_up)
    uow.flush()
    looking = requeue_cleanup(connection, given_up)
    return AbandonResult(operation, instance, owned, left, held, looking)


def _open(connection: Connection, operation_id: str) -> records.Operation:
    """Lock an operation after its instance, the order of every lock."""
    found = operations.get(connection, operation_id)
    if found is None:
        raise exception.OperationNotFound(name=operation_id)
    instances.get(connection, found.instance_uuid, lock=True, deleted=True)
    operation = operations.get(connection, operation_id, lock=True)
    assert operation is not None
    if operation.finished_at is not None:
        raise exception.Conflict(
            f'{operation_log.describe(operation)} has ended at '
            f'{next_steps.format_time(operation.finished_at)}: '
            f'{operation.state}.'
        )
    return operation


def _require_idle(
    operation: records.Operation, predictions: list[NextStep]
) -> None:
    for prediction in predictions:
        if prediction.is_running:
            raise exception.Conflict(
                f'{operation_log.describe(operation)} cannot be abandoned: '
                f'host {prediction.step.host} is up and runs '
                f'{prediction.step.method}. Wait for the end of the step, or '
                'use --force to interrupt it.'
            )


def _fail_operation(uow: UnitOfWork, error: exception.Abandoned) -> None:
    """End the operation, its migration and its open spans."""
    operation = uow.operation
    uow.end_migration(migration_states.ERROR)
    if operation.owns_instance:
        if uow.instance.progress is not None:
            uow.update_instance(progress=None)
        uow.fail(error, to_error=True)
    else:
        for event in uow.open_events():
            uow.emit_error(event, error)
        operation.outcome = records.FAILED
        operation.error = serialization.encode(error)


def _preempt(uow: UnitOfWork, steps: list[records.Step]) -> None:
    for step in steps:
        uow.finish_other_step(step, records.PREEMPTED)


def requeue_cleanup(
    connection: Connection, abandoned_steps: list[records.Step]
) -> list[str]:
    """Begin the checks that abandoned steps would have enqueued.

    Returns the hosts that check. A lost host may have sent them something of
    the instance (``flows.delete``), which only this check removes.
    """
    known = {
        service.host
        for service in hosts.list_services(
            connection, operations.COMPUTE_BINARY
        )
    }
    looking: set[str] = set()
    for step in abandoned_steps:
        for host in step_args.recheck_hosts(step.args):
            if host not in known or host in looking:
                continue
            instance = instances.get(
                connection, step.instance_uuid, lock=True, deleted=True
            )
            assert instance is not None
            begin.cleanup_stale_guest(connection, instance, host)
            looking.add(host)
    return sorted(looking)


# -- what is left ------------------------------------------------------------


def _find_leftover_hosts(uow: UnitOfWork) -> list[str]:
    """Return the hosts that may have something of the instance.

    For an operation that owns nothing: the hosts with an open step.
    """
    operation = uow.operation
    found = {
        step.host
        for step in uow.steps()
        if (_may_have_left if operation.owns_instance else _is_open)(step)
    }
    if operation.owns_instance:
        # An instance that was never built has no host.
        found.add(uow.instance.host)
        if isinstance(operation.params, UnconfirmedResizeParams):
            found |= {uow.migration.source_host, uow.migration.dest_host}
    return sorted(host for host in found if host is not None)


def _is_open(step: records.Step) -> bool:
    return step.state in records.OPEN


def _may_have_left(step: records.Step) -> bool:
    if step.undoes is not None or step.detached:
        return _is_open(step)
    ended = step.state in (records.UNDONE, records.PREEMPTED)
    return step.started_at is not None and not ended


def _describe_leftovers(operation: records.Operation, left: list[str]) -> str:
    names = ', '.join(left) or 'no host'
    text = f'The guest or disks that it removes stay on: {names}.'
    if operation.owns_instance:
        text = f'The guest or disks of the instance may be on: {names}.'
    if operation.error is not None:
        before = serialization.decode(operation.error)
        text += f' The operation was rolling back because: {before}'
    return text


def _settle_claims(uow: UnitOfWork, left: list[str], owned: bool) -> list[str]:
    """Keep the claims that may be in use; return their hosts.

    The consumer of a claim on the instance's host is the instance, that of
    another claim the operation: a delete finds these hosts by it and clears
    them too.
    """
    instance, operation = uow.instance, uow.operation
    rows = hosts.list_allocations(uow.connection, instance.uuid)
    known = {row.host for row in hosts.list_hosts(uow.connection)}
    held = set()
    for row in rows:
        host, holder = row['host'], row['consumer']
        mine = holder == operation.id
        if host not in known or (mine and host not in left):
            uow.release(host, consumer=holder)
            continue
        held.add(host)
        if not owned:
            continue
        if host != instance.host and holder == instance.uuid:
            uow.transfer_claim(host, holder, to=operation.id)
        elif host == instance.host and mine and not _has_own_claim(rows, host):
            uow.transfer_claim(host, holder, to=instance.uuid)
    return sorted(held)


def _has_own_claim(rows: list[dict[str, object]], host: str) -> bool:
    return any(
        row['host'] == host and row['consumer'] == row['instance_uuid']
        for row in rows
    )


def disk_location_unknown(connection: Connection, instance: Instance) -> bool:
    """Tell whether it is unknown which host has the newest disk.

    The location is unknown after an operator has abandoned an operation, or a
    migration has failed without a rollback, until another operation succeeds.
    A failed operation in between changes nothing on the hosts.
    """
    if instance.vm_state != states.ERROR:
        return False
    for operation in operations.list_by_instance(connection, instance.uuid):
        if operation.state == records.DONE and (
            states.TABLE[operation.kind].owns_instance
        ):
            return False
        if operation.error is None:
            continue
        error = serialization.decode(operation.error)
        migrates = flows.FLOWS[operation.kind].has_migration
        if isinstance(error, exception.Abandoned) or (
            migrates and operation.state == records.FAILED
        ):
            return True
    return False
