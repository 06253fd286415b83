# SPDX-License-Identifier: Apache-2.0
"""Queries about flavors and the projects that may use them."""

import sqlalchemy as sa

from minova.db import tables
from minova.db import types
from minova.db.connections.engine import Connection
from minova.objects.flavor import Flavor

_t = tables.flavors
_p = tables.flavor_projects


def _from_row(row: sa.RowMapping) -> Flavor:
    values = dict(row)
    del values['created_at']
    return Flavor(**values)


def get(
    connection: Connection, flavorid: str, lock: bool = False
) -> Flavor | None:
    """Return the flavor with this id of the API, None if unknown.

    ``lock`` keeps other transactions from changing it, and from changing the
    list of its projects, until this transaction ends.
    """
    query = sa.select(*_t.c).where(_t.c.flavorid == flavorid)
    query = query.with_for_update() if lock else query
    row = connection.execute(query).mappings().first()
    return _from_row(row) if row else None


def get_by_name(connection: Connection, name: str) -> Flavor | None:
    """Return the flavor of this name, None if unknown."""
    query = sa.select(*_t.c).where(_t.c.name == name)
    row = connection.execute(query).mappings().first()
    return _from_row(row) if row else None


def list_all(connection: Connection) -> list[Flavor]:
    """Return all flavors in the order of their creation."""
    rows = connection.execute(sa.select(*_t.c).order_by(_t.c.id)).mappings()
    return [_from_row(row) for row in rows]


def insert(connection: Connection, values: types.Values) -> int:
    """Insert a flavor; return its row number."""
    result = connection.execute(sa.insert(_t).values(**values))
    number = result.inserted_primary_key
    assert number is not None
    return int(number[0])


def update(
    connection: Connection, flavor_id: int, values: types.Values
) -> None:
    """Change a flavor; instances keep their copy of it."""
    connection.execute(
        sa.update(_t).where(_t.c.id == flavor_id).values(**values)
    )


def delete(connection: Connection, flavor_id: int) -> None:
    """Delete a flavor and its access list; instances keep their copy."""
    connection.execute(sa.delete(_p).where(_p.c.flavor_id == flavor_id))
    connection.execute(sa.delete(_t).where(_t.c.id == flavor_id))


# -- flavors that are not public ---------------------------------------------


def list_projects(connection: Connection, flavor_id: int) -> list[str]:
    """Return the projects with access to a flavor, in the order of ids."""
    query = sa.select(_p.c.project_id).where(_p.c.flavor_id == flavor_id)
    rows = connection.execute(query.order_by(_p.c.project_id))
    return [str(project_id) for (project_id,) in rows]


def list_ids_for_project(
    connection: Connection, project_id: str
) -> frozenset[int]:
    """Return the row numbers of the flavors that a project has access to."""
    rows = connection.execute(
        sa.select(_p.c.flavor_id).where(_p.c.project_id == project_id)
    )
    return frozenset(int(flavor_id) for (flavor_id,) in rows)


def has_access(
    connection: Connection, flavor_id: int, project_id: str
) -> bool:
    """Return whether a project is in the access list of a flavor."""
    query = sa.select(_p.c.flavor_id).where(_is_access(flavor_id, project_id))
    return connection.execute(query).first() is not None


def add_access(
    connection: Connection, flavor_id: int, project_id: str
) -> None:
    """Add a project to the access list of a flavor, which is locked."""
    connection.execute(
        sa.insert(_p).values(flavor_id=flavor_id, project_id=project_id)
    )


def remove_access(
    connection: Connection, flavor_id: int, project_id: str
) -> None:
    """Remove a project from the access list of a flavor."""
    connection.execute(sa.delete(_p).where(_is_access(flavor_id, project_id)))


def _is_access(flavor_id: int, project_id: str) -> types.Condition:
    return sa.and_(_p.c.flavor_id == flavor_id, _p.c.project_id == project_id)
