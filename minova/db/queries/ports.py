# SPDX-License-Identifier: Apache-2.0
"""Queries about ports: the addresses in networks that instances have."""

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

#: How often what was taken by another in the same moment is chosen anew.
_ATTEMPTS: Final = 10

_INSERT: Final = sa.insert(_t)
_OF_NETWORK: Final = sa.select(_t.c.address).where(
    _t.c.network_id == sa.bindparam('the_network')
)
_RELEASE: Final = sa.delete(_t).where(
    _t.c.instance_uuid == sa.bindparam('the_instance')
)


@dataclasses.dataclass(frozen=True)
class Port:
    """An address and a MAC, both an instance's own until it is deleted."""

    id: str
    network_id: str
    instance_uuid: str
    address: str
    mac: str
    created_at: datetime.datetime


def write_with_retry(database: Database, work: Callable[[Connection], T]) -> T:
    """Run a transaction that inserts ports; again when it was too late.

    Who chooses an address holds the network's lock, but two networks may
    lead to the same MAC and some databases let two hold a lock. What is the
    same twice is then refused when it is written, the transaction is taken
    back, and ``work`` chooses again.
    """
    for _ in range(_ATTEMPTS):
        try:
            return database.write(work)
        except db_exception.DBDuplicateEntry as error:
            cause = error
    raise exception.Unavailable(
        what='A free address',
        reason=f'others were faster {_ATTEMPTS} times; try again',
    ) from cause


def list_used_addresses(
    connection: Connection,
    network_id: str,
    candidates: Collection[str] | None = None,
) -> set[str]:
    """Return the addresses of a network that are in use, all or ``among``."""
    query = _OF_NETWORK
    if candidates is not None:
        query = query.where(_t.c.address.in_(candidates))
    found = connection.execute(query, {'the_network': network_id})
    return set(found.scalars())


def list_used_macs(
    connection: Connection, candidates: Collection[str]
) -> set[str]:
    """Return those of the MACs that are somebody's."""
    query = sa.select(_t.c.mac).where(_t.c.mac.in_(candidates))
    return set(connection.execute(query).scalars())


def insert(connection: Connection, ports: Sequence[Port]) -> None:
    """Write new ports; DBDuplicateEntry when one is somebody's already."""
    connection.execute(_INSERT, [vars(port) for port in ports])


def release(connection: Connection, instance_uuid: str) -> None:
    """Let the ports of an instance be nobody's."""
    connection.execute(_RELEASE, {'the_instance': instance_uuid})


def release_port(connection: Connection, port_id: str) -> None:
    """Let one port be nobody's."""
    connection.execute(sa.delete(_t).where(_t.c.id == port_id))


def find_conflict(connection: Connection, port: Port) -> Port | None:
    """Return a port beside which this one cannot be."""
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


def list_all(
    connection: Connection, network_id: str | None = None
) -> list[Port]:
    """Return all ports, or those of a network."""
    query = sa.select(*_t.c).order_by(_t.c.created_at, _t.c.id)
    if network_id is not None:
        query = query.where(_t.c.network_id == network_id)
    return [Port(**dict(r)) for r in connection.execute(query).mappings()]


def count_by_network(connection: Connection) -> dict[str, int]:
    """Return how many ports each network has, by the networks' ids."""
    query = sa.select(_t.c.network_id, sa.func.count()).group_by(
        _t.c.network_id
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def list_instances(
    connection: Connection, network_id: str, limit: int
) -> tuple[int, list[tuple[str, str | None]]]:
    """Return how many have ports in a network, and the first of them.

    Each as its uuid and its name, None for one that is not known.
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
