# SPDX-License-Identifier: Apache-2.0
"""The reset of a state: what the preempted operation has left to settle.

The transaction that begins the reset has locked the instance, so the owner
can write nothing more. Its steps, its migration and the claims say how far it
has come; the hosts say the rest: see ``flows.reset_state``.
"""

from typing import Final

from minova import exception
from minova import migration_states
from minova import states
from minova.db.connections.engine import Connection
from minova.db.queries import hosts
from minova.db.queries import migrations
from minova.db.queries import operations
from minova.engine import begin
from minova.flows.live_migration import LiveMigration
from minova.flows.rebuild import RebuildInstance
from minova.flows.reset_state import Mode
from minova.flows.revert_resize import RevertResize
from minova.objects import checkpoints
from minova.objects import operation as records
from minova.objects.checkpoints import OldDisksRetained
from minova.objects.instance import Instance
from minova.objects.migration import Migration
from minova.objects.operation_params import EvacuateParams
from minova.objects.operation_params import RebuildParams
from minova.objects.operation_params import ResetStateParams
from minova.objects.step_args import LiveMigrateArgs
from minova.objects.step_args import RescueArgs

#: The modes whose hosts have moved on once the source owns the instance.
_AT_DESTINATION: Final = (Mode.FORWARD, Mode.LOOK)


def describe(
    connection: Connection, instance: Instance, target_state: str
) -> ResetStateParams:
    """Return the parameters of a reset that preempts nothing yet.

    Raises InstanceNotReady for an active server without a host.
    """
    if target_state == states.ACTIVE and instance.host is None:
        raise exception.InstanceNotReady(
            instance_id=instance.uuid,
            reason='it has no host, so it cannot be active; reset it to '
            'error, or unshelve it',
        )
    params = ResetStateParams(
        other_hosts=[],
        target_state=target_state,
        mode=Mode.NOTHING,
        was_active=instance.vm_state == states.ACTIVE,
    )
    if instance.task_id is None:
        return _describe_unconfirmed(connection, instance, params)
    owner = operations.get(connection, instance.task_id)
    assert owner is not None
    found = begin.migrations_of(connection, owner)
    if isinstance(owner.params, ResetStateParams):
        return _repeat(connection, instance, owner.params, params)
    if not found:
        return _describe_on_host(connection, instance, owner, params)
    (migration,) = found
    steps = operations.list_steps(connection, owner.id)
    mode = _find_mode(instance, owner, migration, steps)
    params = params.replace(
        mode=mode,
        migration_id=migration.id,
        was_active=migration.old_vm_state == states.ACTIVE,
    )
    if mode is Mode.LIVE:
        args = [s.args for s in steps if s.method == LiveMigration.method]
        data = LiveMigrateArgs.narrow(args[-1]).migrate_data
        params = params.replace(migrate_data=data)
    if isinstance(owner.params, EvacuateParams):
        params = params.replace(keeps_disks=owner.params.keeps_disks)
    return _with_claims(
        connection,
        instance,
        migration,
        params,
        claims_dest=owner.kind == 'revert_resize',
    )


def _describe_unconfirmed(
    connection: Connection, instance: Instance, params: ResetStateParams
) -> ResetStateParams:
    """Return the reset of a server without an operation."""
    if instance.vm_state == states.RESCUED:
        return _describe_rescue(instance, params, [])
    if instance.vm_state != states.RESIZED:
        return params
    migration = migrations.get_unconfirmed(connection, instance.uuid)
    if migration is None:
        return params
    return params.replace(
        mode=Mode.CONFIRM,
        migration_id=migration.id,
        claims_dest=True,
        consumer=migration.uuid,
    )


def _describe_rescue(
    instance: Instance, params: ResetStateParams, steps: list[records.Step]
) -> ResetStateParams:
    """Return the reset of a server that may run from a rescue disk.

    ``steps`` are those of the owner, which may have powered the guest off.
    """
    was_active = instance.power_state in states.POWERED_ON
    for step in steps:
        if isinstance(step.args, RescueArgs):
            was_active = step.args.was_on
    return params.replace(mode=Mode.RESCUE, was_active=was_active)


def _repeat(
    connection: Connection,
    instance: Instance,
    previous: ResetStateParams,
    params: ResetStateParams,
) -> ResetStateParams:
    """Return a reset that settles what the previous one has not settled."""
    params = previous.replace(
        preempted=None, other_hosts=[], target_state=params.target_state
    )
    if params.migration_id is None:
        return params
    migration = migrations.get(connection, params.migration_id)
    assert migration is not None
    if migration.is_same_host:
        return params
    if (
        Mode(params.mode) in _AT_DESTINATION
        and instance.host == migration.source_host
    ):
        params = params.replace(mode=Mode.SOURCE)
    return _with_claims(connection, instance, migration, params, False)


def _describe_on_host(
    connection: Connection,
    instance: Instance,
    owner: records.Operation,
    params: ResetStateParams,
) -> ResetStateParams:
    """Return the reset of a server whose operation has one host."""
    if instance.host is None:
        return params
    steps = operations.list_steps(connection, owner.id)
    has_begun = any(step.started_at is not None for step in steps)
    if instance.vm_state == states.RESCUED or (
        owner.kind == 'rescue' and has_begun
    ):
        return _describe_rescue(instance, params, steps)
    if not isinstance(owner.params, RebuildParams):
        return params.replace(mode=Mode.HOST)
    before = owner.params.before
    for step in steps:
        if step.method == RebuildInstance.method:
            retained = checkpoints.find(step.checkpoints, OldDisksRetained)
            if retained is not None and not retained.exists:
                before = {}
    return params.replace(mode=Mode.REBUILD, before=before)


def _find_mode(
    instance: Instance,
    owner: records.Operation,
    migration: Migration,
    steps: list[records.Step],
) -> Mode:
    """Return how far a migration has come."""
    if migration.kind == migration_states.LIVE_MIGRATION:
        return Mode.LIVE
    if migration.kind == migration_states.EVACUATION:
        if instance.host == migration.source_host:
            return Mode.HOST
        return Mode.EVACUATION
    is_removing = owner.unwinding or any(
        step.method == RevertResize.method and step.started_at is not None
        for step in steps
    )
    is_sent = migration.status in (
        migration_states.POST_MIGRATING,
        migration_states.REVERTING,
    )
    if migration.is_same_host:
        return Mode.FORWARD if is_sent and not is_removing else Mode.SOURCE
    if instance.host == migration.source_host:
        return Mode.SOURCE
    return Mode.LOOK if is_removing else Mode.FORWARD


def _with_claims(
    connection: Connection,
    instance: Instance,
    migration: Migration,
    params: ResetStateParams,
    claims_dest: bool,
) -> ResetStateParams:
    """Add which claim the instance has, and the consumer of the other one.

    ``claims_dest`` says the first where source and destination are one host.
    """
    rows = [
        row
        for row in hosts.list_allocations(connection, instance.uuid)
        if row['host'] in (migration.source_host, migration.dest_host)
    ]
    if not migration.is_same_host:
        claims_dest = any(
            row['host'] == migration.dest_host
            and row['consumer'] == instance.uuid
            for row in rows
        )
    others = [
        row['consumer'] for row in rows if row['consumer'] != instance.uuid
    ]
    return params.replace(
        claims_dest=claims_dest, consumer=others[0] if others else None
    )
