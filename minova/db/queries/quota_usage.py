# SPDX-License-Identifier: Apache-2.0
"""The usage of a project, and the lock under which it is counted."""

from collections.abc import Sequence
import dataclasses
import hashlib

import sqlalchemy as sa

from minova.db import tables
from minova.db import types
from minova.db.connections.engine import Connection
from minova.db.connections.engine import Database
from minova.db.queries import instances
from minova.db.queries import leases

_t = tables.leases


@dataclasses.dataclass(frozen=True)
class QuotaUsage:
    """The used amount of each quota, under the quota's name."""

    instances: int
    cores: int
    ram: int


def sum_flavors(flavors: Sequence[types.Values]) -> QuotaUsage:
    """Return the usage of servers with these flavors."""
    return QuotaUsage(
        instances=len(flavors),
        cores=sum(flavor['vcpus'] for flavor in flavors),
        ram=sum(flavor['memory_mb'] for flavor in flavors),
    )


def get_usage(connection: Connection, project_id: str) -> QuotaUsage:
    """Return the usage of a project."""
    return sum_flavors(instances.get_project_flavors(connection, project_id))


# Two concurrent transactions could both find enough quota. A transaction that
# counts therefore locks a row for its project: a lease that no service holds.


def _lock_name(project_id: str) -> str:
    return f'quota:{hashlib.sha1(project_id.encode()).hexdigest()}'  # noqa: S324


def ensure_lock(database: Database, project_id: str) -> None:
    """Insert the row to lock if it is missing."""
    leases.acquire(database, _lock_name(project_id), 'quota', 0)


def lock(connection: Connection, project_id: str) -> None:
    """Lock the usage of a project until the transaction ends.

    Call ``ensure_lock`` first, in a transaction of its own.
    """
    connection.execute(
        sa.select(_t.c.name)
        .where(_t.c.name == _lock_name(project_id))
        .with_for_update()
    )
