# SPDX-License-Identifier: Apache-2.0
"""The usage of a project, and the lock under which it is counted.

Nothing is kept: a usage is the sum over the rows of the instances. An instance
that is being resized, or whose resize is not confirmed, counts with the larger
of its two sizes, so neither the end of the resize nor a revert raises a usage.
A soft-deleted instance does not count until its restore begins.
"""

from collections.abc import Iterable
import dataclasses
import hashlib
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite

from minova import migration_states
from minova import states
from minova.db import tables
from minova.db import types
from minova.db.connections.engine import Connection
from minova.objects import operation as records
from minova.objects.flavor import Flavor
from minova.objects.operation_params import ResizeParams

_i = tables.instances
_m = tables.migrations
_o = tables.operations
_l = tables.quota_locks

_RESIZE = 'resize'
#: A resize that can be reverted, or is being reverted.
_UNCONFIRMED = (migration_states.FINISHED, migration_states.REVERTING)


@dataclasses.dataclass(frozen=True)
class QuotaUsage:
    """The used amount of each quota, under the quota's name."""

    instances: int
    cores: int
    ram: int


def sum_flavors(flavors: Iterable[Flavor]) -> QuotaUsage:
    """Return the usage of servers with these flavors."""
    found = list(flavors)
    return QuotaUsage(
        instances=len(found),
        cores=sum(flavor.vcpus for flavor in found),
        ram=sum(flavor.memory_mb for flavor in found),
    )


def get_usage(
    connection: Connection, project_id: str, user_id: str | None = None
) -> QuotaUsage:
    """Return the usage of a project, or of one of its users in it."""
    values = {'the_project': project_id}
    if user_id is not None:
        values['the_user'] = user_id
    is_of_user = user_id is not None
    count, cores, ram = map(
        int, connection.execute(_TOTALS[is_of_user], values).one()
    )
    for row in connection.execute(_RESIZING[is_of_user], values):
        sizes = [(row.vcpus, row.memory_mb)]
        if row.params is not None:
            flavor = ResizeParams.narrow(row.params).flavor
            sizes.append((flavor.vcpus, flavor.memory_mb))
        sizes += [
            (flavor['vcpus'], flavor['memory_mb'])
            for flavor in (row.old_flavor, row.new_flavor)
            if flavor is not None
        ]
        cores += max(vcpus for vcpus, _ in sizes) - row.vcpus
        ram += max(memory_mb for _, memory_mb in sizes) - row.memory_mb
    return QuotaUsage(count, cores, ram)


def _owned(is_of_user: bool) -> list[types.Condition]:
    found = [_i.c.project_id == sa.bindparam('the_project')]
    if is_of_user:
        found.append(_i.c.user_id == sa.bindparam('the_user'))
    return found


def _totals(is_of_user: bool) -> types.Query:
    owned = sa.select(_i.c.vcpus, _i.c.memory_mb).where(*_owned(is_of_user))
    counted = sa.union_all(
        owned.where(_i.c.vm_state.in_(states.COUNTED)),
        # Its restore was checked against the quota and may not have ended.
        owned.where(
            _i.c.vm_state == states.SOFT_DELETE,
            _i.c.task_state.in_(states.TABLE['restore'].task_states),
        ),
    ).subquery()
    return sa.select(
        sa.func.count(),
        sa.func.coalesce(sa.func.sum(counted.c.vcpus), 0),
        sa.func.coalesce(sa.func.sum(counted.c.memory_mb), 0),
    ).select_from(counted)


def _resizing(is_of_user: bool) -> sa.CompoundSelect[Any]:
    """Return the sizes of the servers that have two of them."""
    began = (
        sa.select(
            _i.c.vcpus,
            _i.c.memory_mb,
            _o.c.params,
            _m.c.old_flavor,
            _m.c.new_flavor,
        )
        .select_from(
            # By the uuid: SQLite then reads the running operations first,
            # which are few, and not the instances of the project.
            _o.join(_i, _i.c.uuid == _o.c.instance_uuid).outerjoin(
                _m, _m.c.operation_id == _o.c.id
            )
        )
        .where(
            *_owned(is_of_user),
            _o.c.kind == _RESIZE,
            _o.c.state == records.RUNNING,
            _o.c.owns_instance,
        )
    )
    unconfirmed = (
        sa.select(
            _i.c.vcpus,
            _i.c.memory_mb,
            sa.null(),
            _m.c.old_flavor,
            _m.c.new_flavor,
        )
        .select_from(_i.join(_m, _m.c.instance_uuid == _i.c.uuid))
        .where(
            *_owned(is_of_user),
            _i.c.vm_state == states.RESIZED,
            _m.c.kind == migration_states.RESIZE,
            _m.c.status.in_(_UNCONFIRMED),
        )
    )
    return sa.union_all(began, unconfirmed)


#: The statements, by whether they count for one user.
_TOTALS = {is_of_user: _totals(is_of_user) for is_of_user in (False, True)}
_RESIZING = {is_of_user: _resizing(is_of_user) for is_of_user in (False, True)}


# -- the lock -----------------------------------------------------------------

# Two concurrent transactions could both find enough quota. A transaction that
# counts therefore changes a row of its project first. A lock without a change
# would not suffice in Galera, which grants it on two nodes.


def _take(dialect: str) -> sa.Insert:
    more = {'holders': _l.c.holders + 1}
    if dialect in ('mysql', 'mariadb'):
        return mysql.insert(_l).on_duplicate_key_update(**more)
    if dialect == 'postgresql':
        return postgresql.insert(_l).on_conflict_do_update(
            index_elements=[_l.c.name], set_=more
        )
    return sqlite.insert(_l).on_conflict_do_update(
        index_elements=[_l.c.name], set_=more
    )


_TAKE = {
    dialect: _take(dialect)
    for dialect in ('mysql', 'mariadb', 'postgresql', 'sqlite')
}


def lock(connection: Connection, kind: str, owner: str) -> None:
    """Lock the usage of a project or a user until the transaction ends.

    ``kind`` says which of both ``owner`` is.
    """
    name = hashlib.sha256(f'{kind}:{owner}'.encode()).hexdigest()
    connection.execute(
        _TAKE[connection.dialect.name], {'name': name, 'holders': 1}
    )
