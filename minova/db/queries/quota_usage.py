# SPDX-License-Identifier: Apache-2.0
"""What a project uses, and the lock under which that is counted."""

from collections.abc import Mapping
import dataclasses
import hashlib
from typing import Any

import sqlalchemy as sa

from minova.db import tables
from minova.db.connections.engine import Connection
from minova.db.connections.engine import Database
from minova.db.queries import instances
from minova.db.queries import leases

_t = tables.leases


@dataclasses.dataclass(frozen=True)
class QuotaUsage:
    """How much of each thing, by the names that quotas have."""

    instances: int
    cores: int
    ram: int


def sum_flavors(flavors: list[Mapping[str, Any]]) -> QuotaUsage:
    """Return what as many servers of these flavors use."""
    return QuotaUsage(
        instances=len(flavors),
        cores=sum(flavor['vcpus'] for flavor in flavors),
        ram=sum(flavor['memory_mb'] for flavor in flavors),
    )


def get_usage(connection: Connection, project_id: str) -> QuotaUsage:
    """Return what a project uses."""
    _, flavors = instances.get_project_flavors(connection, project_id)
    return sum_flavors(list(flavors))


# Two transactions that count at the same time would both find room. Whoever
# counts therefore locks a row that stands for the project: a lease that
# nobody ever holds.


def _lock_name(project_id: str) -> str:
    return f'quota:{hashlib.sha1(project_id.encode()).hexdigest()}'  # noqa: S324


def ensure_lock(database: Database, project_id: str) -> None:
    """Make sure that the row to be locked is there."""
    leases.acquire(database, _lock_name(project_id), 'quota', 0)


def lock(connection: Connection, project_id: str) -> None:
    """Let nobody else count for a project until the transaction ends.

    ``prepare_lock`` comes before, in a transaction of its own.
    """
    connection.execute(
        sa.select(_t.c.name)
        .where(_t.c.name == _lock_name(project_id))
        .with_for_update()
    )
