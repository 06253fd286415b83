# SPDX-License-Identifier: Apache-2.0
"""Queries about networks."""

from collections.abc import Collection
import dataclasses
import datetime
import ipaddress
from typing import Final

import sqlalchemy as sa

from minova.db import tables
from minova.db import types
from minova.db.connections.engine import Connection

_t = tables.networks

#: The kinds of a network: a bridge of the host, a libvirt network of the host,
#: or QEMU's user-mode network, one per guest.
BRIDGE: Final = 'bridge'
LIBVIRT: Final = 'libvirt'
USER: Final = 'user'

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Cidr = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclasses.dataclass(frozen=True)
class Network:
    """A network that instances are attached to.

    ``project_id`` is the only project that may use it; None: every project.
    Addresses are allocated from ``pool_first`` to ``pool_last``. Hosts filter
    what guests send unless ``port_security_enabled`` is false.
    """

    id: str
    name: str
    project_id: str | None
    kind: str
    device: str
    cidr: str
    gateway: str | None
    dns: list[str]
    mtu: int | None
    port_security_enabled: bool
    pool_first: str
    pool_last: str
    created_at: datetime.datetime

    @property
    def subnet(self) -> Cidr:
        """Its CIDR as a network object."""
        return ipaddress.ip_network(self.cidr)


def list_for_project(
    connection: Connection,
    project_id: str,
    network_ids: Collection[str] | None = None,
    limit: int | None = None,
    lock: bool = True,
) -> list[Network]:
    """Return the networks that a project may use, in the order of their ids.

    ``network_ids`` restricts them, ``limit`` is their largest number.
    ``lock`` keeps other transactions from allocating addresses in them and
    from deleting them until this transaction ends.
    """
    query = sa.select(*_t.c).where(
        sa.or_(_t.c.project_id.is_(None), _t.c.project_id == project_id)
    )
    if network_ids is not None:
        query = query.where(_t.c.id.in_(sorted(network_ids)))
    # A fixed order: two transactions that lock several do not deadlock.
    query = query.order_by(_t.c.id).limit(limit)
    return _fetch(connection, query.with_for_update() if lock else query)


def list_all(connection: Connection) -> list[Network]:
    """Return all networks by name."""
    return _fetch(connection, sa.select(*_t.c).order_by(_t.c.name))


def find(
    connection: Connection, id_or_name: str, lock: bool = False
) -> Network | None:
    """Return the network of this id or name, None if unknown."""
    query = sa.select(*_t.c).where(
        sa.or_(_t.c.id == id_or_name, _t.c.name == id_or_name)
    )
    found = _fetch(connection, query.with_for_update() if lock else query)
    # An id takes precedence over an equal name.
    found.sort(key=lambda one: one.id != id_or_name)
    return found[0] if found else None


def insert(connection: Connection, network: Network) -> None:
    """Insert a network; raise DBDuplicateEntry if its name is taken."""
    connection.execute(sa.insert(_t), vars(network))


def delete(connection: Connection, network_id: str) -> None:
    """Delete a network; the caller has checked that it is unused."""
    connection.execute(sa.delete(_t).where(_t.c.id == network_id))


def _fetch(connection: Connection, query: types.Query) -> list[Network]:
    rows = connection.execute(query).mappings()
    return [Network(**dict(row)) for row in rows]
