# SPDX-License-Identifier: Apache-2.0
"""Queries about flavors."""

import sqlalchemy as sa

from minova.db import tables
from minova.db import types
from minova.db.connections.engine import Connection
from minova.objects.flavor import Flavor

_t = tables.flavors


def _from_row(row: sa.RowMapping) -> Flavor:
    values = dict(row)
    del values['created_at']
    return Flavor(**values)


def get(connection: Connection, flavorid: str) -> Flavor | None:
    """Return the flavor with this id of the API, None if unknown."""
    query = sa.select(*_t.c).where(_t.c.flavorid == flavorid)
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
    """Delete a flavor; instances keep their copy of it."""
    connection.execute(sa.delete(_t).where(_t.c.id == flavor_id))
