# SPDX-License-Identifier: Apache-2.0
"""Evacuation: when a server may leave a host that is down, and its clean-up.

A guest is started elsewhere only with the proof that its host does not run
it: an operator has forced the host down, or a program of ``[fencing]`` has
powered it off and its compute has not registered since. With ``[fencing]
trust_disk_locks`` the destination may give the proof, by the lock of a shared
disk.
"""

import datetime
from typing import NamedTuple

from minova import clock
from minova import exception
from minova import flows
from minova import migration_states
from minova import states
from minova.conf import CONF
from minova.conf import fencing
from minova.db.connections.engine import Connection
from minova.db.queries import hosts
from minova.db.queries import instances
from minova.db.queries import migrations
from minova.db.queries import operations
from minova.db.queries.hosts import Service
from minova.engine import service_liveness
from minova.flows.evacuate import DestroyEvacuatedInstance
from minova.flows.reset_state import SettleAtDestination
from minova.objects.instance import Instance
from minova.objects.operation_params import EvacuateParams
from minova.objects.operation_params import ResetStateParams

_KIND = 'evacuate'


class Check(NamedTuple):
    """What an evacuation must do before its host is proven to be off.

    ``begins_at``: when the host counts as down, None if it does already.
    """

    fences_host: bool
    begins_at: datetime.datetime | None = None
    #: The destination must have the lock of the shared disk.
    needs_disk_lock: bool = False


def check_host(connection: Connection, host: str) -> Check:
    """Return what an evacuation from a host must do first.

    Raises ComputeServiceInUse when the host sends heartbeats, and the
    evacuation may not wait; HostNotFenced when no program can fence it, and
    the lock of a disk is no proof.
    """
    for service in _list_unproven(connection, host):
        can_fence = fencing.find_rule(CONF.fencing, host) is not None
        begins_at = None
        if service_liveness.is_up(service):
            if not can_fence or CONF.fencing.early_evacuation == 'refuse':
                require_silent(service)
            span = CONF.conductor.service_down_time - service.heartbeat_age
            begins_at = clock.now() + datetime.timedelta(
                seconds=max(span, 0.0)
            )
        if not can_fence:
            if CONF.fencing.trust_disk_locks:
                return Check(fences_host=False, needs_disk_lock=True)
            raise exception.HostNotFenced(host=host)
        return Check(fences_host=True, begins_at=begins_at)
    return Check(fences_host=False)


def require_proof(
    connection: Connection, host: str, by_disk_lock: bool = False
) -> None:
    """Raise unless a host is down, and proven not to run its guests.

    ``by_disk_lock``: the destination gives the proof.
    """
    for service in _list_unproven(connection, host):
        require_silent(service)
        if not by_disk_lock:
            raise exception.HostNotFenced(host=host)


def require_silent(service: Service) -> None:
    """Raise ComputeServiceInUse while a service counts as up."""
    if service_liveness.is_up(service):
        age = service.heartbeat_age
        raise exception.ComputeServiceInUse(
            host=service.host,
            age=age,
            left=max(CONF.conductor.service_down_time - age, 0.0),
        )


def _list_unproven(connection: Connection, host: str) -> list[Service]:
    return [
        service
        for service in hosts.list_services(
            connection, operations.COMPUTE_BINARY, host
        )
        if not service.forced_down and service.fenced_at is None
    ]


def require_preemptible(connection: Connection, instance: Instance) -> None:
    """Raise InstanceInvalidState unless an evacuation may end the owner.

    An operation on the dead host alone would wait for it for ever, and so
    would an evacuation to a host that died too. A migration involves another
    host, which may have the guest or its newest disk.
    """
    if instance.task_id is None:
        return
    owner = operations.get(connection, instance.task_id)
    assert owner is not None
    is_migration = owner.kind != _KIND and (
        flows.FLOWS[owner.kind].has_migration
    )
    if isinstance(owner.params, ResetStateParams):
        is_migration = owner.params.migration_id is not None
    if is_migration or states.TABLE[owner.kind].success_state == (
        states.DELETED
    ):
        raise exception.InstanceInvalidState(
            operation=states.TABLE[_KIND].api_verb,
            instance_id=instance.uuid,
            attribute='task_state',
            state=instance.task_state,
            needed=f'wait for the end of {owner.kind} operation {owner.id}, '
            'or abandon it with minova-manage',
        )


def list_stale_guests(connection: Connection, host: str) -> dict[str, bool]:
    """Return the instances whose guests a host that returns must destroy.

    The value tells whether guest and disks are to be removed: as long as the
    evacuation may fail, the guest is only powered off.
    """
    found = {}
    for migration in migrations.list_evacuations(connection):
        operation = operations.get(connection, migration.operation_id)
        instance = instances.get(connection, migration.instance_uuid)
        if operation is None or instance is None or instance.host == host:
            continue
        others = EvacuateParams.narrow(operation.params).other_hosts
        if host in (migration.source_host, *others):
            found[instance.uuid] = False
    found |= _list_unsettled(connection, host)
    for step in operations.list_open_steps_on_host(connection, host):
        if step.method == DestroyEvacuatedInstance.method:
            instance = instances.get(
                connection, step.instance_uuid, deleted=True
            )
            assert instance is not None
            if instance.host != host:
                found[instance.uuid] = True
    return found


def _list_unsettled(connection: Connection, host: str) -> dict[str, bool]:
    """Return the instances whose evacuation from a host was preempted.

    A reset finds out whether their new host has them; their disks are kept.
    """
    found = {}
    for step in operations.list_open_steps(connection):
        if step.method != SettleAtDestination.method:
            continue
        operation = operations.get(connection, step.operation_id)
        instance = instances.get(connection, step.instance_uuid)
        if operation is None or instance is None or instance.host == host:
            continue
        number = ResetStateParams.narrow(operation.params).migration_id
        migration = migrations.get(connection, number) if number else None
        if (
            migration is not None
            and migration.kind == migration_states.EVACUATION
            and migration.source_host == host
        ):
            found[instance.uuid] = False
    return found
