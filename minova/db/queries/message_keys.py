# SPDX-License-Identifier: Apache-2.0
"""Queries about the keys that sign messages, and the messages of one use.

Names of hosts are compared exactly here, whatever the collation of the
database: ``A`` has not the key of ``a``.
"""

import dataclasses
import datetime

from oslo_db import exception as db_exception
import sqlalchemy as sa

from minova.db import tables
from minova.db import types
from minova.db.connections.engine import Connection
from minova.db.connections.engine import Database

_h = tables.host_keys
_c = tables.control_plane_keys
_u = tables.used_messages

#: The row of the one key pair of the control plane.
_NAME = 'control_plane'

_NOW = sa.select(types.now())
_HOST_KEY = sa.select(*_h.c, types.now().label('now')).where(
    _h.c.host == sa.bindparam('the_host')
)
_HOST_KEYS = sa.select(*_h.c, types.now().label('now')).order_by(_h.c.host)


@dataclasses.dataclass(frozen=True)
class HostKey:
    """The key of a host; ``now`` is the time of the database.

    ``public_key`` is None until the host has shown it. A host with
    ``token_hash`` may show a key, once and before ``token_expires_at``.
    """

    host: str
    public_key: str | None
    enrolled_at: datetime.datetime | None
    revoked_at: datetime.datetime | None
    token_hash: str | None
    token_expires_at: datetime.datetime | None
    now: datetime.datetime


def get_now(connection: Connection) -> datetime.datetime:
    """Return the time of the database."""
    return connection.execute(_NOW).scalar_one()


def find_host_key(connection: Connection, host: str) -> HostKey | None:
    """Return the key of a host, None for a host without a row."""
    row = connection.execute(_HOST_KEY, {'the_host': host}).mappings().first()
    return HostKey(**row) if row else None


def list_host_keys(connection: Connection) -> list[HostKey]:
    """Return the keys of all hosts by name."""
    rows = connection.execute(_HOST_KEYS).mappings()
    return [HostKey(**row) for row in rows]


def save_host_key(
    connection: Connection, host: str, values: types.Values
) -> None:
    """Insert or change the row of a host."""
    changed = connection.execute(
        sa.update(_h).where(_h.c.host == host).values(**values)
    )
    if not changed.rowcount:
        connection.execute(sa.insert(_h).values(host=host, **values))


def delete_host_key(connection: Connection, host: str) -> None:
    """Delete the key of a host; a revoked one stays, to be refused."""
    connection.execute(
        sa.delete(_h).where(_h.c.host == host, _h.c.revoked_at.is_(None))
    )


def find_control_plane_key(connection: Connection) -> str | None:
    """Return the private key of the control plane, as text."""
    query = sa.select(_c.c.private_key).where(_c.c.name == _NAME)
    return connection.execute(query).scalar()


def insert_control_plane_key(database: Database, private_key: str) -> None:
    """Insert a key unless another service has inserted one."""

    def insert(connection: Connection) -> None:
        if find_control_plane_key(connection) is None:
            connection.execute(
                sa.insert(_c).values(name=_NAME, private_key=private_key)
            )

    try:
        database.write(insert)
    except db_exception.DBDuplicateEntry:
        # Another service was faster; its key counts.
        return


def use_message(
    database: Database, digest: str, expires_at: datetime.datetime
) -> bool:
    """Record a message until ``expires_at``; False when it is recorded.

    The records that have expired are removed.
    """

    def insert(connection: Connection) -> None:
        connection.execute(
            sa.delete(_u).where(_u.c.expires_at < get_now(connection))
        )
        connection.execute(
            sa.insert(_u).values(digest=digest, expires_at=expires_at)
        )

    try:
        database.write(insert)
    except db_exception.DBDuplicateEntry:
        return False
    return True
