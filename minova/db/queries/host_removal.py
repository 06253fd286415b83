# SPDX-License-Identifier: Apache-2.0
"""The removal of a host: what still uses it, and the removal itself."""

import dataclasses

import sqlalchemy as sa

from minova import migration_states
from minova import states
from minova.db import tables
from minova.db.connections.engine import Connection
from minova.db.queries import aggregates
from minova.db.queries import message_keys
from minova.db.queries import operations
from minova.db.queries.hosts import Service
from minova.objects import operation as records

_i = tables.instances
_m = tables.migrations
_s = tables.steps


@dataclasses.dataclass(frozen=True)
class HostUsage:
    """The number of servers, migrations and open steps of a host."""

    servers: int
    migrations: int
    steps: int


def count_usage(connection: Connection, host: str) -> HostUsage:
    """Count the servers, active migrations and open steps of a host."""
    counts = (
        sa.select(sa.func.count())
        .select_from(_i)
        .where(_i.c.host == host, _i.c.vm_state != states.DELETED),
        sa.select(sa.func.count())
        .select_from(_m)
        .where(
            sa.or_(_m.c.source_host == host, _m.c.dest_host == host),
            _m.c.status.in_(migration_states.UNFINISHED),
        ),
        sa.select(sa.func.count())
        .select_from(_s)
        .where(_s.c.host == host, _s.c.state.in_(records.OPEN)),
    )
    return HostUsage(*(connection.execute(one).scalar_one() for one in counts))


def remove(connection: Connection, service: Service) -> None:
    """Delete a service and, for a compute, its host, key and allocations.

    Remaining allocations belong to operations that an operator abandoned.
    """
    services, hosts = tables.services, tables.hosts
    allocations = tables.allocations
    connection.execute(sa.delete(services).where(services.c.id == service.id))
    if service.binary == operations.COMPUTE_BINARY:
        connection.execute(
            sa.delete(hosts).where(hosts.c.host == service.host)
        )
        connection.execute(
            sa.delete(allocations).where(allocations.c.host == service.host)
        )
        aggregates.forget_host(connection, service.host)
        message_keys.delete_host_key(connection, service.host)
