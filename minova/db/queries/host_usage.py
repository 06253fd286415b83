# SPDX-License-Identifier: Apache-2.0
"""What projects and instances have allocated on hosts."""

from collections.abc import Collection
from typing import NamedTuple

import sqlalchemy as sa

from minova.db import tables
from minova.db.connections.engine import Connection

_a = tables.allocations
_i = tables.instances


class ProjectUsage(NamedTuple):
    """The resources of a project on a host."""

    project_id: str
    vcpus: int
    memory_mb: int
    disk_gb: int


def list_by_project(connection: Connection, host: str) -> list[ProjectUsage]:
    """Return the sums of the allocations of each project, by its id."""
    query = (
        sa.select(
            _i.c.project_id,
            sa.func.sum(_a.c.vcpus),
            sa.func.sum(_a.c.memory_mb),
            sa.func.sum(_a.c.disk_gb),
        )
        .select_from(_a.join(_i, _i.c.uuid == _a.c.instance_uuid))
        .where(_a.c.host == host)
        .group_by(_i.c.project_id)
        .order_by(_i.c.project_id)
    )
    return [
        ProjectUsage(row[0], *map(int, row[1:]))
        for row in connection.execute(query)
    ]


def list_hosts_of_instances(
    connection: Connection, instance_uuids: Collection[str]
) -> frozenset[str]:
    """Return the hosts on which any of these instances has an allocation."""
    rows = connection.execute(
        sa.select(_a.c.host)
        .where(_a.c.instance_uuid.in_(instance_uuids))
        .distinct()
    )
    return frozenset(str(host) for (host,) in rows)
