# SPDX-License-Identifier: Apache-2.0
"""Queries about ports: the addresses and MACs of instances."""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Sequence
import dataclasses
import datetime
from typing import Final
from typing import TypeVar

from oslo_db import exception as db_exception
import sqlalchemy as sa

from minova import exception
from minova.db import tables
from minova.db.connections.engine import Connection
from minova.db.connections.engine import Database

T = TypeVar('T')

_t = tables.ports
_i = tables.instances

#: Attempts to choose an address before the request fails.
_ATTEMPTS: Final = 10

_INSERT: Final = sa.insert(_t)
_OF_NETWORK: Final = sa.select(_t.c.address).where(
    _t.c.network_id == sa.bindparam('the_network')
)
_OF_PROJECT: Final = (
    sa.select(_t.c.network_id, sa.func.count())
    .where(_t.c.project_id == sa.bindparam('the_project'))
    .group_by(_t.c.network_id)
)
_RELEASE: Final = sa.delete(_t).where(
    _t.c.instance_uuid == sa.bindparam('the_instance')
)


@dataclasses.dataclass(frozen=True)
class Port:
    """An address and a MAC of an instance, until the instance is deleted."""

    id: str
    network_id: str
    instance_uuid: str
    project_id: str
    address: str
    mac: str
    created_at: datetime.datetime


@dataclasses.dataclass(frozen=True)
class AttachedPort:
    """A port, and what its instance says about it."""

    port: Port
    host: str | None
    availability_zone: str | None
    power_state: int


def write_with_retry(database: Database, work: Callable[[Connection], T]) -> T:
    """Run a transaction that inserts ports; retry it on a duplicate.

    ``work`` chooses an address under the network's lock. Two networks may
    still lead to the same MAC, and Galera grants a lock on two nodes. The
    unique keys then refuse the second row, the transaction is rolled back and
    ``work`` chooses again.
    """
    return retry_on_duplicate(lambda: database.write(work))


def retry_on_duplicate(write: Callable[[], T]) -> T:
    """Repeat a transaction as ``write_with_retry`` does."""
    for _ in range(_ATTEMPTS):
        try:
            return write()
        except db_exception.DBDuplicateEntry as error:
            cause = error
    raise exception.Unavailable(
        what='A free address',
        reason=f'concurrent requests took the chosen one {_ATTEMPTS} times; '
        'repeat the request',
    ) from cause


def list_used_addresses(
    connection: Connection,
    network_id: str,
    candidates: Collection[str] | None = None,
) -> set[str]:
    """Return the used addresses of a network, or those in ``candidates``."""
    query = _OF_NETWORK
    if candidates is not None:
        query = query.where(_t.c.address.in_(candidates))
    found = connection.execute(query, {'the_network': network_id})
    return set(found.scalars())


def list_used_macs(
    connection: Connection, candidates: Collection[str]
) -> set[str]:
    """Return the used MACs among ``candidates``."""
    query = sa.select(_t.c.mac).where(_t.c.mac.in_(candidates))
    return set(connection.execute(query).scalars())


def insert(connection: Connection, ports: Sequence[Port]) -> None:
    """Insert ports; raise DBDuplicateEntry if an address or MAC is used."""
    connection.execute(_INSERT, [vars(port) for port in ports])


def release(connection: Connection, instance_uuid: str) -> None:
    """Delete the ports of an instance."""
    connection.execute(_RELEASE, {'the_instance': instance_uuid})


def release_port(connection: Connection, port_id: str) -> None:
    """Delete one port."""
    connection.execute(sa.delete(_t).where(_t.c.id == port_id))


def find_conflict(connection: Connection, port: Port) -> Port | None:
    """Return a port with the id, MAC or address of this one."""
    query = sa.select(*_t.c).where(
        sa.or_(
            _t.c.id == port.id,
            _t.c.mac == port.mac,
            sa.and_(
                _t.c.network_id == port.network_id,
                _t.c.address == port.address,
            ),
        )
    )
    row = connection.execute(query).mappings().first()
    return Port(**dict(row)) if row else None


def get(connection: Connection, port_id: str) -> Port | None:
    """Return a port, None if it is unknown."""
    row = (
        connection.execute(sa.select(*_t.c).where(_t.c.id == port_id))
        .mappings()
        .first()
    )
    return Port(**dict(row)) if row else None


def list_all(
    connection: Connection, network_id: str | None = None
) -> list[Port]:
    """Return all ports, or those of a network, oldest first."""
    query = sa.select(*_t.c).order_by(_t.c.created_at, _t.c.id)
    if network_id is not None:
        query = query.where(_t.c.network_id == network_id)
    return [Port(**dict(r)) for r in connection.execute(query).mappings()]


def list_attached(
    connection: Connection,
    project_id: str | None = None,
    instance_uuid: str | None = None,
) -> list[AttachedPort]:
    """Return the ports of existing instances, oldest first.

    ``project_id`` and ``instance_uuid`` restrict them.
    """
    query = (
        sa.select(
            *_t.c,
            _i.c.host,
            _i.c.availability_zone,
            _i.c.power_state,
        )
        .select_from(_t.join(_i, _i.c.uuid == _t.c.instance_uuid))
        .order_by(_t.c.created_at, _t.c.id)
    )
    if project_id is not None:
        query = query.where(_t.c.project_id == project_id)
    if instance_uuid is not None:
        query = query.where(_t.c.instance_uuid == instance_uuid)
    count = len(_t.c)
    return [
        AttachedPort(Port(*row[:count]), *row[count:])
        for row in connection.execute(query)
    ]


def count_for_project(
    connection: Connection, project_id: str
) -> dict[str, int]:
    """Return the number of a project's ports by network id."""
    found = connection.execute(_OF_PROJECT, {'the_project': project_id})
    return {row[0]: row[1] for row in found}


def count_by_network(connection: Connection) -> dict[str, int]:
    """Return the number of ports by network id."""
    query = sa.select(_t.c.network_id, sa.func.count()).group_by(
        _t.c.network_id
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def list_instances(
    connection: Connection, network_id: str, limit: int
) -> tuple[int, list[tuple[str, str | None]]]:
    """Count the instances with ports in a network; return the first ones.

    Each as its uuid and its name; the name is None for an unknown instance.
    """
    number = sa.select(sa.func.count(sa.distinct(_t.c.instance_uuid))).where(
        _t.c.network_id == network_id
    )
    query = (
        sa.select(_t.c.instance_uuid, _i.c.display_name)
        .select_from(_t.outerjoin(_i, _i.c.uuid == _t.c.instance_uuid))
        .where(_t.c.network_id == network_id)
        .distinct()
        .order_by(_t.c.instance_uuid)
        .limit(limit)
    )
    found = [(row[0], row[1]) for row in connection.execute(query)]
    return int(connection.execute(number).scalar_one()), found
