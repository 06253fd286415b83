# SPDX-License-Identifier: Apache-2.0
"""The begin of an operation, in one transaction.

A refused request leaves no trace. An accepted operation ends: done, rolled
back, failed or preempted.
"""

from collections.abc import Callable
import dataclasses
import datetime
from typing import Any

from minova import clock
from minova import exception
from minova import flows
from minova import migration_states
from minova import states
from minova.conf import CONF
from minova.context import Context
from minova.context import get_admin_context
from minova.db.connections.engine import Connection
from minova.db.connections.engine import Database
from minova.db.queries import hosts
from minova.db.queries import instances
from minova.db.queries import migrations
from minova.db.queries import operations
from minova.engine import migration_records
from minova.engine import operation_log
from minova.engine import rpc_pins
from minova.engine import service_liveness
from minova.engine import step_records
from minova.engine.unit_of_work import UnitOfWork
from minova.exception import serialization
from minova.flows.base import FollowUp
from minova.notifications import events
from minova.notifications import payload
from minova.objects import operation as records
from minova.objects.flavor import Flavor
from minova.objects.instance import Instance
from minova.objects.migration import Migration
from minova.objects.operation_params import CleanupStaleGuestParams
from minova.objects.operation_params import DeleteParams
from minova.objects.operation_params import DiscardSnapshotParams
from minova.objects.operation_params import NoParams
from minova.objects.operation_params import OperationParams
from minova.objects.operation_params import PreemptParams
from minova.objects.operation_params import ResetStateParams
from minova.objects.operation_params import UnconfirmedResizeParams
from minova.objects.request_spec import RequestSpec
from minova.objects.step import Wakeup

#: Returns the parameters of the operation; may raise to refuse it.
Prepare = Callable[[Connection, Instance], OperationParams]
#: Raises when the caller may not begin the operation.
Authorize = Callable[[Instance], None]


@dataclasses.dataclass(frozen=True)
class Begun:
    """An operation that has begun, and the wake-ups that the caller sends."""

    operation: records.Operation
    instance: Instance
    wakeups: list[Wakeup]

    @property
    def first_step(self) -> str:
        """The id of the step that was enqueued first."""
        return self.wakeups[0].step


def begin(
    database: Database,
    context: Context,
    kind: str,
    instance_uuid: str,
    publisher: str,
    prepare: Prepare | None = None,
    project_id: str | None = None,
    authorize: Authorize | None = None,
) -> Begun:
    """Begin ``kind`` on an instance.

    ``project_id`` hides the instances of other projects. ``authorize`` is
    called before the state table is checked, ``prepare`` after it. Raises
    InstanceNotFound, InstanceInvalidState, HostDown, or what the two raise.
    """

    def work(connection: Connection) -> Begun:
        instance = instances.get(
            connection,
            instance_uuid,
            project_id,
            lock=True,
            deleted=states.DELETED in states.TABLE[kind].from_states,
        )
        if instance is None:
            raise exception.InstanceNotFound(instance_id=instance_uuid)
        if authorize is not None:
            authorize(instance)
        rule = states.check_begin(kind, instance)
        if rule.ownership is states.Ownership.EXCLUSIVE:
            require_host_up(connection, kind, instance, instance.host)
        params = prepare(connection, instance) if prepare else NoParams()
        return _begin_checked(
            connection, context, rule, instance, publisher, params
        )

    return database.write(work)


def require_host_up(
    connection: Connection, kind: str, instance: Instance, host: str | None
) -> None:
    """Raise HostDown when ``kind`` needs a host that is known to be down.

    The operation would be accepted and rolled back: its step never starts.
    """
    if is_known_down(connection, host):
        raise flows.FLOWS[kind].host_down_class(
            operation=states.TABLE[kind].api_verb,
            instance_id=instance.uuid,
            host=host,
        )


def is_known_down(connection: Connection, host: str | None) -> bool:
    """Tell whether the compute of a host is known to be down.

    The broker may be down instead, and then all hosts fall silent within one
    heartbeat: another host must have been heard long after this one.
    """
    if host is None:
        return False
    found = hosts.list_services(connection, operations.COMPUTE_BINARY, host)
    if all(map(service_liveness.is_up, found)):
        return False
    silence = min(service.heartbeat_age for service in found)
    heard_later = silence - CONF.conductor.service_down_time / 2
    return any(
        service.forced_down or service.fenced_at is not None
        for service in found
    ) or any(
        service_liveness.is_up(other) and other.heartbeat_age <= heard_later
        for other in hosts.list_services(connection, operations.COMPUTE_BINARY)
    )


def begin_locked(
    connection: Connection,
    context: Context,
    kind: str,
    instance: Instance,
    publisher: str,
    params: OperationParams,
) -> Begun:
    """Begin ``kind`` on an instance whose row the transaction has locked."""
    rule = states.check_begin(kind, instance)
    return _begin_checked(
        connection, context, rule, instance, publisher, params
    )


def _begin_checked(
    connection: Connection,
    context: Context,
    rule: states.Rule,
    instance: Instance,
    publisher: str,
    params: OperationParams,
) -> Begun:
    rpc_pins.require_supported(rule.kind, instance.uuid)
    operation = _operation(context, rule, instance, params)
    uow = UnitOfWork(
        connection, instance, operation, None, publisher, new_operation=True
    )
    follow_ups: list[FollowUp] = []
    if rule.ownership in (
        states.Ownership.PREEMPT,
        states.Ownership.PREEMPT_IMMEDIATE,
    ):
        found = _find_follow_up(connection, instance)
        follow_ups += [found] if found is not None else []
        if rule.success_state == states.DELETED:
            follow_ups += _list_after_delete(connection, instance)
        operation.params = PreemptParams.narrow(params).replace(
            preempted=instance.task_id, other_hosts=_preempt_owner(uow)
        )
    uow.begin()
    operation.generation = instance.generation
    flows.FLOWS[rule.kind].on_begin(uow)
    wakeups = uow.flush()
    # Newer than the preempted operation, so that they stop its step.
    for one in follow_ups:
        wakeups += begin_locked(
            connection,
            get_admin_context(),
            one.kind,
            instance,
            publisher,
            one.params,
        ).wakeups
    return Begun(operation, instance, wakeups)


def cleanup_stale_guest(
    connection: Connection, instance: Instance, host: str
) -> Begun:
    """Begin the removal of a guest from a host that should not have it.

    The transaction has locked the row of the instance.
    """
    return begin_locked(
        connection,
        get_admin_context(),
        'cleanup_stale_guest',
        instance,
        events.publisher_id('compute', host),
        CleanupStaleGuestParams(host=host),
    )


def create(
    connection: Connection,
    context: Context,
    instance: Instance,
    publisher: str,
    params: OperationParams,
) -> Begun:
    """Insert a new instance and begin its build."""
    rule = states.check_begin('create', instance)
    operation = _operation(context, rule, instance, params)
    uow = UnitOfWork(
        connection,
        instance,
        operation,
        None,
        publisher,
        new_operation=True,
        new_instance=True,
    )
    uow.begin()
    operation.generation = instance.generation
    flows.FLOWS[rule.kind].on_begin(uow)
    return Begun(operation, instance, uow.flush())


def new_instance(context: Context, flavor: Flavor, **fields: Any) -> Instance:
    """Return an instance that is not in the database yet."""
    values: dict[str, Any] = {
        name: None for name, field in Instance.fields.items() if field.nullable
    }
    values |= {
        'id': 0,
        'uuid': clock.uuid4(),
        'project_id': context.project_id or '',
        'user_id': context.user_id or '',
        'launch_index': 0,
        'vm_state': states.BUILDING,
        'power_state': int(states.PowerState.NOSTATE),
        'generation': 0,
        'notification_seq': 0,
        'request_spec': RequestSpec(),
        'flavor': flavor,
        'image_meta': {},
        'kernel_id': '',
        'ramdisk_id': '',
        'metadata': {},
        'network_info': [],
        'config_drive': False,
        'auto_disk_config': False,
        'locked': False,
        'shutdown_terminate': False,
        'created_at': clock.now(),
    }
    return Instance(**(values | fields))


def _operation(
    context: Context,
    rule: states.Rule,
    instance: Instance,
    params: OperationParams,
) -> records.Operation:
    flows.FLOWS[rule.kind].params_class.narrow(params)
    now = clock.now()
    number = clock.uuid4()
    return records.Operation(
        id=number,
        instance_uuid=instance.uuid,
        kind=rule.kind,
        generation=instance.generation,
        state=records.RUNNING,
        owns_instance=rule.owns_instance,
        outcome=None,
        unwinding=False,
        old_vm_state=instance.vm_state,
        open_step_count=0,
        request_id=context.request_id or '',
        user_id=context.user_id,
        project_id=context.project_id,
        context=context.to_dict() | {'task_id': number},
        params=params,
        error=None,
        wait_reason=None,
        waiting_since=None,
        incidents=0,
        deadline=now + datetime.timedelta(seconds=rule.timeout),
        started_at=now,
        updated_at=now,
        finished_at=None,
    )


# -- preemption --------------------------------------------------------------


def delete_params(connection: Connection, instance: Instance) -> DeleteParams:
    """Return the parameters of a delete that preempts nothing yet."""
    if instance.host is None:
        return DeleteParams(host_down=True, other_hosts=[])
    found = hosts.list_services(
        connection, operations.COMPUTE_BINARY, instance.host
    )
    host_down = not any(
        service_liveness.is_up(service) and service.hypervisor_error is None
        for service in found
    )
    return DeleteParams(host_down=host_down, other_hosts=[])


def _find_follow_up(
    connection: Connection, instance: Instance
) -> FollowUp | None:
    """Return the operation that cleans up after the owner of an instance."""
    if instance.task_id is None:
        return None
    owner = operations.get(connection, instance.task_id)
    assert owner is not None
    hosts_of = [
        step.host
        for step in operations.list_steps(connection, owner.id)
        if step.host is not None
    ]
    return flows.FLOWS[owner.kind].after_preemption(
        owner, hosts_of[0] if hosts_of else None
    )


def _list_after_delete(
    connection: Connection, instance: Instance
) -> list[FollowUp]:
    """Return the removal of the image of a shelved instance.

    Any host can remove it, the own one or one that is up.
    """
    if instance.shelved_image_id is None:
        return []
    host = instance.host
    if host is None:
        found = hosts.list_services(connection, operations.COMPUTE_BINARY)
        if not found:
            return []
        found.sort(key=lambda one: (not service_liveness.is_up(one), one.id))
        host = found[0].host
    params = DiscardSnapshotParams(
        host=host, image_id=instance.shelved_image_id
    )
    return [FollowUp('discard_snapshot', params)]


def _preempt_owner(uow: UnitOfWork) -> list[str]:
    """End the owner of the instance; return the hosts that it has used."""
    instance = uow.instance
    touched: list[str] = []
    if instance.task_id is not None:
        owner = operations.get(uow.connection, instance.task_id)
        assert owner is not None
        touched += _preempt(uow, owner)
    if instance.vm_state == states.RESIZED:
        migration = migrations.get_unconfirmed(uow.connection, instance.uuid)
        if migration is not None:
            touched.append(migration.source_host)
            migration_records.advance(
                uow.connection, migration, migration_states.CONFIRMED, uow.now
            )
    # An abandoned operation keeps its claims on the hosts that may still have
    # something of the instance.
    held = hosts.list_allocations(uow.connection, instance.uuid)
    touched += [
        row['host'] for row in held if row['consumer'] != instance.uuid
    ]
    return sorted(set(touched))


def _preempt(uow: UnitOfWork, owner: records.Operation) -> list[str]:
    error = exception.Preempted(operation=owner.kind, by=uow.operation.kind)
    steps = operations.list_steps(uow.connection, owner.id)
    for event in [event for step in steps for event in step.open_events]:
        uow.add_notice(
            owner,
            events.event_type(event, events.ERROR),
            payload.instance_payload(uow.instance)
            | payload.fault_payload(error),
        )
    operations.close_open_steps(
        uow.connection, owner.id, records.PREEMPTED, uow.now
    )
    before = dataclasses.replace(owner)
    operation_log.log(
        uow.connection,
        owner,
        f'is preempted by {uow.operation.kind} {uow.operation.id}',
    )
    owner.state = owner.outcome = records.PREEMPTED
    owner.owns_instance = False
    owner.open_step_count = 0
    owner.wait_reason = owner.waiting_since = None
    owner.error = serialization.encode(error)
    owner.updated_at = owner.finished_at = uow.now
    operations.update(
        uow.connection, owner.id, step_records.difference(before, owner)
    )
    operation_log.log_end(uow.connection, owner)
    touched = [step.host for step in steps if step.host is not None]
    for migration in migrations_of(uow.connection, owner):
        migration_records.end(
            uow.connection, migration, migration_states.CANCELLED, uow.now
        )
        # The destination has a claim before it has a step, and the source of
        # an evacuation has a stale guest.
        touched.append(migration.source_host)
        if migration.dest_host is not None:
            touched.append(migration.dest_host)
    return touched


def migrations_of(
    connection: Connection, owner: records.Operation
) -> list[Migration]:
    """Return the migrations that an operation creates, ends or settles."""
    found, params = [migrations.get_by_operation(connection, owner.id)], None
    if isinstance(owner.params, (UnconfirmedResizeParams, ResetStateParams)):
        params = owner.params
    if params is not None and params.migration_id is not None:
        found.append(migrations.get(connection, params.migration_id))
    return [migration for migration in found if migration is not None]
