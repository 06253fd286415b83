# SPDX-License-Identifier: Apache-2.0
"""Queries about key pairs. They are a user's, whatever the project."""

from collections.abc import Mapping
import dataclasses
import datetime
from typing import Any

import sqlalchemy as sa

from minova.db import tables
from minova.db.connections.engine import Connection
from minova.db.queries import paging

_t = tables.key_pairs


@dataclasses.dataclass(frozen=True)
class KeyPair:
    """What is kept of a key pair: its public half."""

    id: int
    user_id: str
    name: str
    type: str
    public_key: str
    fingerprint: str
    created_at: datetime.datetime


def get(connection: Connection, user_id: str, name: str) -> KeyPair | None:
    """Return a user's key pair of that name."""
    query = sa.select(*_t.c).where(*_matches(user_id, name))
    row = connection.execute(query).mappings().first()
    return KeyPair(**row) if row else None


def list_page(
    connection: Connection,
    user_id: str,
    limit: int | None = None,
    marker: str | None = None,
) -> list[KeyPair] | None:
    """Return a user's key pairs by name, behind the one named ``marker``.

    ``limit`` None: all of them. None when there is no such marker.
    """
    keys = [paging.SortKey(_t.c.name)]
    query = sa.select(*_t.c).where(_t.c.user_id == user_id)
    if marker is not None:
        behind = paging.after_marker(
            connection, keys, *_matches(user_id, marker)
        )
        if behind is None:
            return None
        query = query.where(behind)
    query = query.order_by(*paging.order_by(keys)).limit(limit)
    return [KeyPair(**row) for row in connection.execute(query).mappings()]


def count(connection: Connection, user_id: str) -> int:
    """Return how many key pairs a user has."""
    query = sa.select(sa.func.count()).where(_t.c.user_id == user_id)
    return int(connection.execute(query).scalar_one())


def insert(connection: Connection, values: Mapping[str, Any]) -> None:
    """Write a new key pair."""
    connection.execute(sa.insert(_t).values(**values))


def delete(connection: Connection, user_id: str, name: str) -> bool:
    """Remove a key pair; False when there is none.

    Instances keep the copy of the public key that they were made with.
    """
    result = connection.execute(sa.delete(_t).where(*_matches(user_id, name)))
    return bool(result.rowcount)


def _matches(user_id: str, name: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (_t.c.user_id == user_id, _t.c.name == name)
