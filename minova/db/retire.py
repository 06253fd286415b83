# SPDX-License-Identifier: Apache-2.0
"""Hosts that go for good: whether anything still needs one, and its end."""

import dataclasses
from typing import Final

import sqlalchemy as sa

from minova import states
from minova.db import operations
from minova.db import tables
from minova.db.engine import Connection
from minova.db.hosts import Service
from minova.objects import operation as records

_i = tables.instances
_m = tables.migrations
_s = tables.steps

#: A move in one of these needs both its hosts.
GOING_ON: Final = (
    'queued',
    'preparing',
    'running',
    'pre-migrating',
    'migrating',
    'post-migrating',
    'finished',
    'confirming',
    'reverting',
)


@dataclasses.dataclass(frozen=True)
class Uses:
    """How much needs a host."""

    servers: int
    moves: int
    steps: int


def uses(connection: Connection, host: str) -> Uses:
    """Return how many servers, moves and open steps a host has."""
    counts = (
        sa.select(sa.func.count())
        .select_from(_i)
        .where(_i.c.host == host, _i.c.vm_state != states.DELETED),
        sa.select(sa.func.count())
        .select_from(_m)
        .where(
            sa.or_(_m.c.source_host == host, _m.c.dest_host == host),
            _m.c.status.in_(GOING_ON),
        ),
        sa.select(sa.func.count())
        .select_from(_s)
        .where(_s.c.host == host, _s.c.state.in_(records.OPEN)),
    )
    return Uses(*(connection.execute(one).scalar_one() for one in counts))


def forget(connection: Connection, service: Service) -> None:
    """Remove a service and, of a compute, its host."""
    services, hosts = tables.services, tables.hosts
    connection.execute(sa.delete(services).where(services.c.id == service.id))
    if service.binary == operations.COMPUTE:
        connection.execute(
            sa.delete(hosts).where(hosts.c.host == service.host)
        )
