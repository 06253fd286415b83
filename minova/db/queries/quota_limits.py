# SPDX-License-Identifier: Apache-2.0
"""Queries about limits that differ from the options.

A limit is of a project, of a user in a project, or of a quota class: the class
``default`` applies to every project.
"""

from collections.abc import Collection
from collections.abc import Mapping
import dataclasses

import sqlalchemy as sa

from minova.db import tables
from minova.db import types
from minova.db.connections.engine import Connection

_q = tables.quotas
_c = tables.quota_classes

#: The only class that applies to projects.
DEFAULT_CLASS = 'default'
#: The user of the limits of a project as a whole.
_NO_USER = ''

#: Limits by resource.
Limits = dict[str, int]

_APPLYING = sa.union_all(
    sa.select(
        sa.literal('').label('project_id'),
        sa.literal('').label('user_id'),
        _c.c.resource,
        _c.c.hard_limit,
    ).where(_c.c.class_name == DEFAULT_CLASS),
    sa.select(
        _q.c.project_id, _q.c.user_id, _q.c.resource, _q.c.hard_limit
    ).where(
        _q.c.project_id == sa.bindparam('the_project'),
        _q.c.user_id.in_([_NO_USER, sa.bindparam('the_user')]),
    ),
)


@dataclasses.dataclass(frozen=True)
class Overrides:
    """The limits that rows set, from the most general to the most special."""

    of_class: Limits
    of_project: Limits
    of_user: Limits


def get_overrides(
    connection: Connection, project_id: str, user_id: str | None = None
) -> Overrides:
    """Return what applies to a project, and to a user in it."""
    found = Overrides({}, {}, {})
    rows = connection.execute(
        _APPLYING,
        {'the_project': project_id, 'the_user': user_id or _NO_USER},
    )
    for row in rows:
        if not row.project_id:
            found.of_class[row.resource] = row.hard_limit
        elif row.user_id == _NO_USER:
            found.of_project[row.resource] = row.hard_limit
        else:
            found.of_user[row.resource] = row.hard_limit
    return found


def sum_of_users(
    connection: Connection, project_id: str, without: str | None = None
) -> Limits:
    """Return the sums of the limits of the users of a project.

    Unlimited users count with 0. ``without`` leaves out one user.
    """
    query = (
        sa.select(_q.c.resource, sa.func.sum(_q.c.hard_limit))
        .where(
            _q.c.project_id == project_id,
            _q.c.user_id.not_in([_NO_USER, without or _NO_USER]),
            _q.c.hard_limit >= 0,
        )
        .group_by(_q.c.resource)
    )
    return {row[0]: int(row[1]) for row in connection.execute(query)}


def set_limits(
    connection: Connection,
    project_id: str,
    user_id: str | None,
    limits: Mapping[str, int],
) -> None:
    """Set limits of a project, or of a user in it."""
    owner = {'project_id': project_id, 'user_id': user_id or _NO_USER}
    _replace(connection, _q, owner, limits)


def delete_limits(
    connection: Connection,
    project_id: str,
    resources: Collection[str],
    user_id: str | None = None,
) -> None:
    """Delete the limits of a project and its users, or of one user."""
    query = sa.delete(_q).where(
        _q.c.project_id == project_id, _q.c.resource.in_(sorted(resources))
    )
    if user_id is not None:
        query = query.where(_q.c.user_id == user_id)
    connection.execute(query)


def get_class(connection: Connection, name: str) -> Limits:
    """Return the limits of a class that rows set."""
    found = connection.execute(
        sa.select(_c.c.resource, _c.c.hard_limit).where(
            _c.c.class_name == name
        )
    )
    return {row[0]: row[1] for row in found}


def set_class(
    connection: Connection, name: str, limits: Mapping[str, int]
) -> None:
    """Set limits of a class."""
    _replace(connection, _c, {'class_name': name}, limits)


def _replace(
    connection: Connection,
    table: sa.Table,
    owner: Mapping[str, str],
    limits: Mapping[str, int],
) -> None:
    if not limits:
        return
    same: list[types.Condition] = [
        table.c[name] == value for name, value in owner.items()
    ]
    connection.execute(
        sa.delete(table).where(*same, table.c.resource.in_(sorted(limits)))
    )
    connection.execute(
        sa.insert(table),
        [
            {**owner, 'resource': resource, 'hard_limit': limit}
            for resource, limit in sorted(limits.items())
        ],
    )
