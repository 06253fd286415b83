# SPDX-License-Identifier: Apache-2.0
"""Host aggregates, and the zones that they give to hosts.

The zone of a host is the ``availability_zone`` in the metadata of one of its
aggregates, else the zone of its configuration. The zone in effect is in the
row of the host and in the rows of its instances, so that only changes read
aggregates. Every change of an aggregate and every registration of a host holds
one lock, so that a host never is in two zones.
"""

from collections.abc import Collection
from collections.abc import Iterable
import dataclasses
import datetime
from typing import Final

import sqlalchemy as sa

from minova import states
from minova.db import tables
from minova.db import types
from minova.db.connections.engine import Connection
from minova.db.queries import instances
from minova.db.queries import quota_usage
from minova.objects.request_spec import RequestSpec

_t = tables.aggregates
_m = tables.aggregate_hosts
_h = tables.hosts
_i = tables.instances

#: The key of the metadata that sets the zone of the hosts.
ZONE: Final = 'availability_zone'


@dataclasses.dataclass(frozen=True)
class Aggregate:
    """A host aggregate; ``hosts`` are in the order of their names."""

    id: int
    uuid: str
    name: str
    metadata: dict[str, str]
    notification_seq: int
    created_at: datetime.datetime
    updated_at: datetime.datetime | None
    hosts: tuple[str, ...]

    @property
    def zone(self) -> str | None:
        """The zone of the hosts; None when the aggregate sets no zone."""
        return self.metadata.get(ZONE)


_ALL = sa.select(*_t.c).order_by(_t.c.id)
_MEMBERS = sa.select(_m.c.aggregate_id, _m.c.host).order_by(_m.c.host)


def lock(connection: Connection) -> None:
    """Lock all aggregates and zones until the transaction ends."""
    quota_usage.lock(connection, 'placement', 'aggregates')


def list_all(connection: Connection) -> list[Aggregate]:
    """Return all aggregates in the order of their creation."""
    return _list(connection, _ALL, _MEMBERS)


def get(connection: Connection, aggregate_id: int) -> Aggregate | None:
    """Return an aggregate, None if unknown."""
    found = _list(
        connection,
        _ALL.where(_t.c.id == aggregate_id),
        _MEMBERS.where(_m.c.aggregate_id == aggregate_id),
    )
    return found[0] if found else None


def _list(
    connection: Connection, query: types.Query, members: types.Query
) -> list[Aggregate]:
    rows = connection.execute(query).mappings().all()
    if not rows:
        return []
    by_id: dict[int, list[str]] = {}
    for row in connection.execute(members):
        by_id.setdefault(row.aggregate_id, []).append(row.host)
    return [
        Aggregate(hosts=tuple(by_id.get(row['id'], ())), **row) for row in rows
    ]


def has_name(connection: Connection, name: str) -> bool:
    """Return whether an aggregate has this name."""
    query = sa.select(_t.c.id).where(_t.c.name == name)
    return connection.execute(query).first() is not None


def insert(connection: Connection, values: types.Values) -> int:
    """Insert an aggregate without hosts; return its number."""
    result = connection.execute(sa.insert(_t).values(**values))
    number = result.inserted_primary_key
    assert number is not None
    return int(number[0])


def update(
    connection: Connection, aggregate_id: int, values: types.Values
) -> None:
    """Change an aggregate."""
    connection.execute(
        sa.update(_t).where(_t.c.id == aggregate_id).values(**values)
    )


def delete(connection: Connection, aggregate_id: int) -> None:
    """Delete an aggregate, which has no hosts."""
    connection.execute(sa.delete(_t).where(_t.c.id == aggregate_id))


def add_host(connection: Connection, aggregate_id: int, host: str) -> None:
    """Add a host, which is not in the aggregate."""
    connection.execute(
        sa.insert(_m).values(aggregate_id=aggregate_id, host=host)
    )


def remove_host(connection: Connection, aggregate_id: int, host: str) -> None:
    """Remove a host from the aggregate."""
    connection.execute(
        sa.delete(_m).where(
            _m.c.aggregate_id == aggregate_id, _m.c.host == host
        )
    )


def forget_host(connection: Connection, host: str) -> None:
    """Remove a host that is deleted from all aggregates."""
    connection.execute(sa.delete(_m).where(_m.c.host == host))


# -- zones -------------------------------------------------------------------


def apply_zones(connection: Connection, hosts: Iterable[str]) -> None:
    """Write the zones in effect of hosts and of their instances.

    The transaction holds the lock.
    """
    zones = {
        host: aggregate.zone
        for aggregate in list_all(connection)
        if aggregate.zone is not None
        for host in aggregate.hosts
    }
    for host in sorted(hosts):
        row = connection.execute(
            sa.select(_h.c.availability_zone, _h.c.configured_zone).where(
                _h.c.host == host
            )
        ).one()
        zone = zones.get(host, row.configured_zone)
        if zone != row.availability_zone:
            connection.execute(
                sa.update(_h)
                .where(_h.c.host == host)
                .values(availability_zone=zone)
            )
        instances.set_zone_on_host(connection, host, zone)


def find_other_zone(
    connection: Connection, aggregate: Aggregate, hosts: Collection[str]
) -> tuple[str, str] | None:
    """Return a host that another aggregate puts into a zone, and the zone."""
    for other in list_all(connection):
        if other.id == aggregate.id or other.zone is None:
            continue
        for host in other.hosts:
            if host in hosts:
                return host, other.zone
    return None


def list_hosts_with_instances(
    connection: Connection, hosts: Collection[str]
) -> list[str]:
    """Return those of ``hosts`` that have instances."""
    rows = connection.execute(
        sa.select(_i.c.host)
        .where(_i.c.host.in_(hosts), _i.c.vm_state.in_(states.NOT_DELETED))
        .distinct()
        .order_by(_i.c.host)
    )
    return [str(host) for (host,) in rows]


def find_bound_instance(
    connection: Connection, host: str, zone: str
) -> str | None:
    """Return an instance on a host whose user requested its zone."""
    rows = connection.execute(
        sa.select(_i.c.uuid, _i.c.request_spec)
        .where(_i.c.host == host, _i.c.vm_state.in_(states.NOT_DELETED))
        .order_by(_i.c.id)
    )
    for uuid, spec in rows:
        if RequestSpec.narrow(spec).availability_zone == zone:
            return str(uuid)
    return None
