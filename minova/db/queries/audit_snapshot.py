# SPDX-License-Identifier: Apache-2.0
"""The rows that an audit compares, read in one transaction.

Each statement reads a consistent state, but two statements may read different
states. A finding from the comparison of two statements counts only when a
second scan confirms the finding (``audit.confirmed_scan``).
"""

from collections.abc import Iterator
import dataclasses
import datetime
from typing import Any
from typing import Final

import sqlalchemy as sa

from minova import migration_states
from minova.db import tables
from minova.db import types
from minova.db.connections.engine import Connection
from minova.db.queries import hosts
from minova.db.queries import migrations
from minova.db.queries import ports
from minova.db.queries.hosts import Resources
from minova.db.queries.hosts import Service
from minova.db.queries.operations import COMPUTE_BINARY
from minova.db.queries.ports import Port
from minova.objects import operation as objects
from minova.objects.flavor import Flavor
from minova.objects.migration import Migration
from minova.objects.operation import Operation
from minova.objects.operation import Step

_a = tables.allocations
_h = tables.hosts
_i = tables.instances
_m = tables.migrations
_o = tables.operations
_s = tables.steps
_n = tables.outbox

#: The phases of an event: the last part of its type.
_PHASES: Final = ('start', 'end', 'error')


@dataclasses.dataclass(frozen=True)
class InstanceRow:
    """The columns of an instance, deleted or not, that the audit compares."""

    uuid: str
    host: str | None
    vm_state: str
    task_state: str | None
    task_id: str | None
    generation: int
    power_state: int
    notification_seq: int
    launched_at: datetime.datetime | None
    deleted_at: datetime.datetime | None
    shelved_image_id: str | None
    flavor: Flavor
    network_info: list[dict[str, Any]]
    image_meta: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Allocation:
    """Resources of a host that a consumer holds for an instance."""

    id: int
    host: str
    instance_uuid: str
    consumer: str
    vcpus: int
    memory_mb: int
    disk_gb: int
    pcpus: int = 0
    placement: dict[str, Any] | None = None

    @property
    def resources(self) -> Resources:
        """The allocated resources."""
        return Resources(self.vcpus, self.memory_mb, self.disk_gb, self.pcpus)


@dataclasses.dataclass(frozen=True)
class HostRow:
    """A host: the usage in its row and the sum of its allocations.

    One statement reads both, so they are consistent with each other.
    """

    host: str
    hypervisor_hostname: str
    used: Resources
    allocated: Resources
    numa_cells: list[dict[str, Any]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class OutboxSummary:
    """The notifications of an instance in the outbox, by sequence number."""

    rows: int
    first: int
    last: int
    last_published: int | None
    first_unpublished: int | None
    oldest_unpublished_at: datetime.datetime | None


@dataclasses.dataclass(frozen=True)
class UnfinishedEvent:
    """An event that an operation has started and not ended."""

    operation_id: str
    instance_uuid: str
    event: str


@dataclasses.dataclass(frozen=True)
class DatabaseSnapshot:
    """The rows that an audit compares.

    ``operations`` has the running operations and those that an instance, an
    open step or a migration refers to; ``steps`` has the steps of running
    operations and all open steps; ``migrations`` has the migrations without a
    final status.
    """

    instances: dict[str, InstanceRow]
    operations: dict[str, Operation]
    steps: list[Step]
    migrations: list[Migration]
    allocations: list[Allocation]
    hosts: dict[str, HostRow]
    services: list[Service]
    outbox: dict[str, OutboxSummary]
    unfinished_events: list[UnfinishedEvent]
    ports: list[Port]

    @property
    def compute_services(self) -> list[Service]:
        """The compute services."""
        return [
            service
            for service in self.services
            if service.binary == COMPUTE_BINARY
        ]


def read_snapshot(connection: Connection) -> DatabaseSnapshot:
    """Read the rows that an audit compares."""
    steps = list(_steps(connection))
    open_migrations = list(_migrations(connection))
    instances = {row.uuid: row for row in _instances(connection)}
    referenced = {step.operation_id for step in steps}
    referenced |= {migration.operation_id for migration in open_migrations}
    referenced |= {row.task_id for row in instances.values() if row.task_id}
    return DatabaseSnapshot(
        instances=instances,
        operations={o.id: o for o in _operations(connection, referenced)},
        steps=steps,
        migrations=open_migrations,
        allocations=list(_allocations(connection)),
        hosts={row.host: row for row in _hosts(connection)},
        services=hosts.list_services(connection),
        outbox=dict(_outbox(connection)),
        unfinished_events=list(_unfinished_events(connection)),
        ports=ports.list_all(connection),
    )


def _rows(
    connection: Connection, query: types.Query
) -> Iterator[sa.RowMapping]:
    yield from connection.execute(query).mappings()


def _instances(connection: Connection) -> Iterator[InstanceRow]:
    names = [field.name for field in dataclasses.fields(InstanceRow)]
    query = sa.select(*(_i.c[name] for name in names)).order_by(_i.c.id)
    for row in _rows(connection, query):
        values = dict(row)
        values['flavor'] = Flavor.from_dict(values['flavor'])
        yield InstanceRow(**values)


def _steps(connection: Connection) -> Iterator[Step]:
    running = sa.select(_o.c.id).where(_o.c.state == objects.RUNNING)
    query = (
        sa.select(*_s.c)
        .where(
            sa.or_(
                _s.c.state.in_(objects.OPEN), _s.c.operation_id.in_(running)
            )
        )
        .order_by(_s.c.created_at, _s.c.number)
    )
    for row in _rows(connection, query):
        yield Step(**row)


#: Ids per statement; SQLite allows 32766 parameters.
_PAGE_SIZE = 1000


def _operations(
    connection: Connection, referenced: set[str]
) -> Iterator[Operation]:
    query = sa.select(*_o.c)
    running = query.where(_o.c.state == objects.RUNNING)
    known = set()
    for row in _rows(connection, running):
        known.add(row['id'])
        yield Operation(**row)
    others = sorted(referenced - known)
    for start in range(0, len(others), _PAGE_SIZE):
        page = others[start : start + _PAGE_SIZE]
        for row in _rows(connection, query.where(_o.c.id.in_(page))):
            yield Operation(**row)


def _migrations(connection: Connection) -> Iterator[Migration]:
    query = sa.select(*_m.c).where(_m.c.status.not_in(migration_states.FINAL))
    for row in _rows(connection, query.order_by(_m.c.id)):
        yield migrations.from_row(row)


def _allocations(connection: Connection) -> Iterator[Allocation]:
    names = [field.name for field in dataclasses.fields(Allocation)]
    query = sa.select(*(_a.c[name] for name in names)).order_by(_a.c.id)
    for row in _rows(connection, query):
        yield Allocation(**row)


def _hosts(connection: Connection) -> Iterator[HostRow]:
    sums = [
        sa.select(sa.func.coalesce(sa.func.sum(_a.c[name]), 0))
        .where(_a.c.host == _h.c.host)
        .correlate(_h)
        .scalar_subquery()
        .label(f'sum_{name}')
        for name in Resources._fields
    ]
    for row in _rows(connection, sa.select(*_h.c, *sums).order_by(_h.c.id)):
        yield HostRow(
            host=row['host'],
            hypervisor_hostname=row['hypervisor_hostname'],
            used=_resources(row, '{}_used'),
            allocated=_resources(row, 'sum_{}'),
            numa_cells=row['numa_cells'],
        )


def _resources(row: sa.RowMapping, pattern: str) -> Resources:
    return Resources(*(int(row[pattern.format(n)]) for n in Resources._fields))


def _outbox(connection: Connection) -> Iterator[tuple[str, OutboxSummary]]:
    unpublished = _n.c.published_at.is_(None)
    query = sa.select(
        _n.c.instance_uuid,
        sa.func.count().label('rows'),
        sa.func.min(_n.c.seq).label('first'),
        sa.func.max(_n.c.seq).label('last'),
        sa.func.max(sa.case((~unpublished, _n.c.seq))).label('last_published'),
        sa.func.min(sa.case((unpublished, _n.c.seq))).label(
            'first_unpublished'
        ),
        sa.type_coerce(
            sa.func.min(sa.case((unpublished, _n.c.created_at))),
            _n.c.created_at.type,
        ).label('oldest_unpublished_at'),
    ).group_by(_n.c.instance_uuid)
    for row in _rows(connection, query):
        values = dict(row)
        yield values.pop('instance_uuid'), OutboxSummary(**values)


def _unfinished_events(connection: Connection) -> Iterator[UnfinishedEvent]:
    """Yield the events that an ended operation has started and not ended.

    An event may have more ends than starts: a host that refuses a resize
    emits an error without a start.
    """
    ending = sa.or_(*(_n.c.event_type.endswith(f'.{p}') for p in _PHASES))
    running = sa.select(_o.c.id).where(_o.c.state == objects.RUNNING)
    query = (
        sa.select(
            _n.c.operation_id,
            _n.c.instance_uuid,
            _n.c.event_type,
            sa.func.count().label('times'),
        )
        .where(
            _n.c.operation_id.is_not(None),
            _n.c.operation_id.not_in(running),
            ending,
        )
        .group_by(_n.c.operation_id, _n.c.instance_uuid, _n.c.event_type)
        .order_by(_n.c.operation_id, _n.c.event_type)
    )
    counts: dict[UnfinishedEvent, int] = {}
    for row in _rows(connection, query):
        name, _, phase = row['event_type'].rpartition('.')
        event = UnfinishedEvent(
            row['operation_id'], row['instance_uuid'], name
        )
        times = row['times'] if phase == _PHASES[0] else -row['times']
        counts[event] = counts.get(event, 0) + times
    for event, times in counts.items():
        if times > 0:
            yield event
