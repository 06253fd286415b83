# SPDX-License-Identifier: Apache-2.0
"""Queries about services, hosts and their allocations.

A claim is one conditional UPDATE of the host's row: concurrent claims cannot
allocate more than the host has. One transaction writes the allocation and the
usage in the host's row, so that both stay equal.
"""

import dataclasses
import datetime
import functools
from typing import Any
from typing import Final
from typing import NamedTuple

from oslo_db import exception as db_exception
import sqlalchemy as sa

from minova import clock
from minova.db import tables
from minova.db import types
from minova.db.connections.engine import Connection
from minova.objects.host import HostReport

#: The incarnation of a compute that has to register again.
REVOKED: Final = 'revoked'

_a = tables.allocations
_h = tables.hosts
_v = tables.services


class Resources(NamedTuple):
    """Shared vCPUs, MiB of memory, GiB of disk and dedicated CPUs."""

    vcpus: int
    memory_mb: int
    disk_gb: int
    pcpus: int = 0

    def __str__(self) -> str:
        text = f'{self.vcpus} vcpus, {self.memory_mb} MiB, {self.disk_gb} GiB'
        return f'{text}, {self.pcpus} pcpus' if self.pcpus else text


@dataclasses.dataclass(frozen=True)
class Service:
    """A service; ``heartbeat_age`` is in seconds.

    ``hypervisor_error``: why the hypervisor of a compute cannot be used.
    ``fenced_at``: when the host was fenced, if its compute has not registered
    since; ``fence_agent`` did it and printed ``fence_output``.
    """

    id: int
    uuid: str
    binary: str
    host: str
    incarnation: str
    version: str
    disabled: bool
    disabled_reason: str | None
    forced_down: bool
    hypervisor_error: str | None
    fenced_at: datetime.datetime | None
    fence_agent: str | None
    fence_output: str | None
    started_at: datetime.datetime
    last_seen_at: datetime.datetime
    heartbeat_age: float


@dataclasses.dataclass(frozen=True)
class Host:
    """The host of a compute service, and how much of it is allocated."""

    id: int
    uuid: str
    host: str
    address: str
    availability_zone: str
    configured_zone: str
    hypervisor_hostname: str
    hypervisor_type: str
    hypervisor_version: int
    cpu_info: dict[str, object]
    supported_instances: list[list[str]]
    traits: list[str]
    numa_cells: list[dict[str, Any]]
    vcpus: int
    pcpus: int
    memory_mb: int
    disk_gb: int
    reserved_memory_mb: int
    reserved_disk_gb: int
    cpu_allocation_ratio: float
    ram_allocation_ratio: float
    disk_allocation_ratio: float
    vcpus_used: int
    pcpus_used: int
    memory_mb_used: int
    disk_gb_used: int
    created_at: datetime.datetime
    updated_at: datetime.datetime | None


# -- services ----------------------------------------------------------------


_HEARTBEAT = (
    sa.update(_v)
    .where(
        _v.c.binary == sa.bindparam('the_binary'),
        _v.c.host == sa.bindparam('the_host'),
        _v.c.incarnation == sa.bindparam('own_incarnation'),
    )
    .values(
        last_seen_at=types.now(),
        hypervisor_error=sa.bindparam('the_hypervisor_error'),
    )
)


@functools.cache
def _services(by_binary: bool, by_host: bool) -> types.Query:
    query = sa.select(*_v.c, types.now().label('now')).order_by(_v.c.id)
    if by_binary:
        query = query.where(_v.c.binary == sa.bindparam('the_binary'))
    if by_host:
        query = query.where(_v.c.host == sa.bindparam('the_host'))
    return query


def record_heartbeat(
    connection: Connection,
    binary: str,
    host: str,
    incarnation: str,
    hypervisor_error: str | None = None,
) -> bool:
    """Record a heartbeat of one incarnation of a service.

    False when a newer incarnation of the service has registered.
    """
    result = connection.execute(
        _HEARTBEAT,
        {
            'the_binary': binary,
            'the_host': host,
            'own_incarnation': incarnation,
            'the_hypervisor_error': hypervisor_error,
        },
    )
    return result.rowcount == 1


def register_service(
    connection: Connection,
    binary: str,
    host: str,
    incarnation: str,
    version: str,
) -> None:
    """Make ``incarnation`` the current one of a service."""
    values = {
        'incarnation': incarnation,
        'version': version,
        'hypervisor_error': None,
        'fenced_at': None,
        'fence_agent': None,
        'fence_output': None,
        'started_at': types.now(),
        'last_seen_at': types.now(),
    }
    known = (_v.c.binary == binary, _v.c.host == host)
    update = sa.update(_v).where(*known).values(values)
    if connection.execute(update).rowcount:
        return
    insert = sa.insert(_v).values(
        uuid=clock.uuid4(),
        binary=binary,
        host=host,
        disabled=False,
        forced_down=False,
        **values,
    )
    try:
        with connection.begin_nested():
            connection.execute(insert)
    except db_exception.DBDuplicateEntry:
        # Another worker of the service has inserted the row meanwhile.
        connection.execute(update)


def revoke_incarnation(connection: Connection, host: str) -> None:
    """Refuse the current incarnation of a compute from now on.

    The compute has to register again before it runs a step.
    """
    connection.execute(
        sa.update(_v)
        .where(_v.c.binary == 'nova-compute', _v.c.host == host)
        .values(incarnation=REVOKED)
    )


def record_fence(
    connection: Connection, service: Service, agent: str, output: str
) -> bool:
    """Record that the host of a compute is fenced.

    The compute has to register again, which ends the record. False when it
    has registered since ``service`` was read.
    """
    result = connection.execute(
        sa.update(_v)
        .where(
            _v.c.id == service.id,
            _v.c.incarnation.in_((service.incarnation, REVOKED)),
        )
        .values(
            incarnation=REVOKED,
            fenced_at=types.now(),
            fence_agent=agent[:255],
            fence_output=output[:255],
        )
    )
    return result.rowcount == 1


def list_services(
    connection: Connection, binary: str | None = None, host: str | None = None
) -> list[Service]:
    """Return the services, filtered by binary and host if given."""
    query = _services(binary is not None, host is not None)
    wanted = {'the_binary': binary, 'the_host': host}
    known = {name: text for name, text in wanted.items() if text is not None}
    found = []
    for row in connection.execute(query, known).mappings():
        values = dict(row)
        now = values.pop('now')
        heartbeat_age = (now - values['last_seen_at']).total_seconds()
        found.append(Service(heartbeat_age=heartbeat_age, **values))
    return found


def update_service(
    connection: Connection, service_id: int, values: types.Values
) -> None:
    """Change the fields of a service that an administrator may set."""
    connection.execute(
        sa.update(_v).where(_v.c.id == service_id).values(**values)
    )


# -- hosts -------------------------------------------------------------------

_HOSTS = sa.select(*_h.c).order_by(_h.c.id)
_HOST = _HOSTS.where(_h.c.host == sa.bindparam('the_host'))


def save_host_report(connection: Connection, report: HostReport) -> None:
    """Insert or update a host with the report of its compute.

    The zone in effect stays; ``aggregates.apply_zones`` writes it.
    """
    values = report.as_dict()
    values['configured_zone'] = values.pop('availability_zone')
    for name in ('incarnation', 'version'):
        del values[name]
    values['updated_at'] = clock.now()
    result = connection.execute(
        sa.update(_h).where(_h.c.host == report.host).values(values)
    )
    if result.rowcount:
        return
    connection.execute(
        sa.insert(_h).values(
            uuid=clock.uuid4(),
            availability_zone=values['configured_zone'],
            vcpus_used=0,
            pcpus_used=0,
            memory_mb_used=0,
            disk_gb_used=0,
            created_at=values['updated_at'],
            **values,
        )
    )


def list_hosts(connection: Connection, host: str | None = None) -> list[Host]:
    """Return all hosts, or those of this name (one or none)."""
    query, values = (
        (_HOSTS, {}) if host is None else (_HOST, {'the_host': host})
    )
    return [
        Host(**row) for row in connection.execute(query, values).mappings()
    ]


# -- claims ------------------------------------------------------------------


def _claim() -> sa.Update:
    memory = _h.c.memory_mb - _h.c.reserved_memory_mb
    disk = _h.c.disk_gb - _h.c.reserved_disk_gb
    vcpus = _h.c.vcpus_used + sa.bindparam('more_vcpus')
    memory_mb = _h.c.memory_mb_used + sa.bindparam('more_memory_mb')
    disk_gb = _h.c.disk_gb_used + sa.bindparam('more_disk_gb')
    pcpus = _h.c.pcpus_used + sa.bindparam('more_pcpus')
    return (
        sa.update(_h)
        .where(
            _h.c.host == sa.bindparam('the_host'),
            vcpus <= _h.c.vcpus * _h.c.cpu_allocation_ratio,
            memory_mb <= memory * _h.c.ram_allocation_ratio,
            disk_gb <= disk * _h.c.disk_allocation_ratio,
            pcpus <= _h.c.pcpus,
        )
        .values(
            vcpus_used=vcpus,
            memory_mb_used=memory_mb,
            disk_gb_used=disk_gb,
            pcpus_used=pcpus,
        )
    )


_CLAIM = _claim()
_INSERT_ALLOCATION = sa.insert(_a)
_ALLOCATIONS = sa.select(*_a.c).order_by(_a.c.id)
_OF_INSTANCE = _ALLOCATIONS.where(
    _a.c.instance_uuid == sa.bindparam('the_instance')
)
_DELETE_ALLOCATION = sa.delete(_a).where(_a.c.id == sa.bindparam('the_id'))
_RELEASE = (
    sa.update(_h)
    .where(_h.c.host == sa.bindparam('the_host'))
    .values(
        vcpus_used=_h.c.vcpus_used - sa.bindparam('less_vcpus'),
        memory_mb_used=_h.c.memory_mb_used - sa.bindparam('less_memory_mb'),
        disk_gb_used=_h.c.disk_gb_used - sa.bindparam('less_disk_gb'),
        pcpus_used=_h.c.pcpus_used - sa.bindparam('less_pcpus'),
    )
)
_TRANSFER = sa.update(_a).where(
    _a.c.instance_uuid == sa.bindparam('the_instance'),
    _a.c.host == sa.bindparam('the_host'),
    _a.c.consumer == sa.bindparam('the_consumer'),
)


def claim(
    connection: Connection,
    host: str,
    instance_uuid: str,
    consumer: str,
    wanted: Resources,
) -> bool:
    """Allocate resources of a host; False if its capacity does not suffice.

    The row of the host is locked until the transaction ends, so that a
    placement can follow (``placements.set_placement``).
    """
    more = {
        f'more_{name}': number for name, number in wanted._asdict().items()
    }
    result = connection.execute(_CLAIM, {'the_host': host, **more})
    if result.rowcount != 1:
        return False
    _insert_allocation(connection, host, instance_uuid, consumer, wanted)
    return True


def _insert_allocation(
    connection: Connection,
    host: str,
    instance_uuid: str,
    consumer: str,
    resources: Resources,
    placement: dict[str, Any] | None = None,
) -> None:
    connection.execute(
        _INSERT_ALLOCATION,
        {
            'placement': placement,
            'host': host,
            'instance_uuid': instance_uuid,
            'consumer': consumer,
            'created_at': clock.now(),
            **resources._asdict(),
        },
    )


def set_allocation(
    connection: Connection,
    host: str,
    instance_uuid: str,
    consumer: str,
    resources: Resources,
) -> None:
    """Record an allocation without a check of the host's capacity.

    The allocation replaces the consumer's earlier one, whose placement it
    keeps; the host's usage is recomputed.
    """
    lock(connection, host)
    mine = (
        _a.c.host == host,
        _a.c.instance_uuid == instance_uuid,
        _a.c.consumer == consumer,
    )
    query = sa.select(_a.c.placement).where(*mine)
    placement = connection.execute(query).scalar()
    connection.execute(sa.delete(_a).where(*mine))
    _insert_allocation(
        connection, host, instance_uuid, consumer, resources, placement
    )
    recompute_usage(connection, host)


def recompute_usage(connection: Connection, host: str) -> None:
    """Set the usage in a host's row to the sum of its allocations.

    The row is locked before the allocations are read, so that concurrent
    claims and releases apply to the new sums.
    """
    lock(connection, host)
    sums = [
        sa.func.coalesce(sa.func.sum(_a.c[name]), 0).label(f'{name}_used')
        for name in Resources._fields
    ]
    query = sa.select(*sums).where(_a.c.host == host)
    found = connection.execute(query).mappings().one()
    values = {name: int(found[name]) for name in found}
    connection.execute(sa.update(_h).where(_h.c.host == host).values(**values))


def lock(connection: Connection, host: str) -> None:
    """Lock the row of a host until the transaction ends."""
    query = sa.select(_h.c.id).where(_h.c.host == host).with_for_update()
    connection.execute(query).first()


def release(
    connection: Connection,
    instance_uuid: str,
    host: str | None = None,
    consumer: str | None = None,
) -> None:
    """Release allocations of an instance, on one host or of one consumer."""
    allocated = [
        row
        for row in list_allocations(connection, instance_uuid)
        if host in (None, row['host']) and consumer in (None, row['consumer'])
    ]
    # In the order of the hosts: concurrent releases do not deadlock.
    for row in sorted(allocated, key=lambda row: str(row['host'])):
        deleted = connection.execute(_DELETE_ALLOCATION, {'the_id': row['id']})
        if deleted.rowcount:
            less = {f'less_{name}': row[name] for name in Resources._fields}
            connection.execute(_RELEASE, {'the_host': row['host']} | less)


def transfer_claim(
    connection: Connection,
    instance_uuid: str,
    host: str,
    consumer: str,
    new_consumer: str,
) -> None:
    """Transfer the allocation of an instance on a host to a new consumer."""
    connection.execute(
        _TRANSFER,
        {
            'the_instance': instance_uuid,
            'the_host': host,
            'the_consumer': consumer,
            'consumer': new_consumer,
        },
    )


def list_allocations(
    connection: Connection, instance_uuid: str | None = None
) -> list[dict[str, Any]]:
    """Return all allocations, or those of one instance."""
    query, values = _ALLOCATIONS, {}
    if instance_uuid is not None:
        query, values = _OF_INSTANCE, {'the_instance': instance_uuid}
    rows = connection.execute(query, values).mappings()
    return [dict(row) for row in rows]
