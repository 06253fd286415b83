# SPDX-License-Identifier: Apache-2.0
"""Queries about key pairs; they belong to a user, not to a project."""

import dataclasses
import datetime

import sqlalchemy as sa

from minova.db import tables
from minova.db import types
from minova.db.connections.engine import Connection
from minova.db.queries import paging

_t = tables.key_pairs


@dataclasses.dataclass(frozen=True)
class KeyPair:
    """A key pair; the private key is not stored."""

    id: int
    user_id: str
    name: str
    type: str
    public_key: str
    fingerprint: str
    created_at: datetime.datetime


def get(connection: Connection, user_id: str, name: str) -> KeyPair | None:
    """Return a user's key pair of this name, None if unknown."""
    query = sa.select(*_t.c).where(*_matches(user_id, name))
    row = connection.execute(query).mappings().first()
    return KeyPair(**row) if row else None


def list_page(
    connection: Connection,
    user_id: str,
    limit: int | None = None,
    marker: str | None = None,
) -> list[KeyPair] | None:
    """Return a user's key pairs by name, after the one named ``marker``.

    All of them without a ``limit``. None for an unknown marker.
    """
    keys = [paging.SortKey(_t.c.name)]
    query = sa.select(*_t.c).where(_t.c.user_id == user_id)
    if marker is not None:
        after = paging.after_marker(
            connection, keys, *_matches(user_id, marker)
        )
        if after is None:
            return None
        query = query.where(after)
    query = query.order_by(*paging.order_by(keys)).limit(limit)
    return [KeyPair(**row) for row in connection.execute(query).mappings()]


def count(connection: Connection, user_id: str) -> int:
    """Return how many key pairs a user has."""
    query = sa.select(sa.func.count()).where(_t.c.user_id == user_id)
    return int(connection.execute(query).scalar_one())


def insert(connection: Connection, values: types.Values) -> None:
    """Insert a key pair."""
    connection.execute(sa.insert(_t).values(**values))


def delete(connection: Connection, user_id: str, name: str) -> bool:
    """Delete a key pair; False if there is none.

    Instances keep their copy of the public key.
    """
    result = connection.execute(sa.delete(_t).where(*_matches(user_id, name)))
    return bool(result.rowcount)


def _matches(user_id: str, name: str) -> tuple[types.Condition, ...]:
    return (_t.c.user_id == user_id, _t.c.name == name)
