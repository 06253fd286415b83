# SPDX-License-Identifier: Apache-2.0
"""Queries about console tokens.

A token is valid while its row exists, has not expired and its instance is not
deleted. The table has no address of a console: a stored port may belong to
another guest by the time the token is used.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import datetime

import sqlalchemy as sa

from minova import states
from minova.db import tables
from minova.db.connections.engine import Connection

_t = tables.console_tokens
_i = tables.instances


@dataclasses.dataclass(frozen=True)
class TokenTarget:
    """The console that a token opens, and the host of its instance."""

    instance_uuid: str
    console_type: str
    host: str | None


def insert(
    connection: Connection, values: Mapping[str, str | datetime.datetime]
) -> None:
    """Insert a token."""
    connection.execute(sa.insert(_t).values(values))


def find(
    connection: Connection, token_hash: str, moment: datetime.datetime
) -> TokenTarget | None:
    """Return the target of a token, None if it is invalid at ``moment``."""
    row = connection.execute(
        sa.select(_t.c.instance_uuid, _t.c.console_type, _i.c.host)
        .join(_i, _i.c.uuid == _t.c.instance_uuid)
        .where(
            _t.c.token_hash == token_hash,
            _t.c.expires_at > moment,
            _i.c.vm_state != states.DELETED,
        )
    ).first()
    return TokenTarget(*row) if row else None


def delete_by_instance(connection: Connection, instance_uuid: str) -> None:
    """Delete the tokens of an instance."""
    connection.execute(
        sa.delete(_t).where(_t.c.instance_uuid == instance_uuid)
    )


def has_expired(connection: Connection, moment: datetime.datetime) -> bool:
    """Tell whether any token has expired."""
    query = sa.select(_t.c.id).where(_t.c.expires_at <= moment).limit(1)
    return connection.execute(query).first() is not None


def delete_expired(connection: Connection, moment: datetime.datetime) -> None:
    """Delete the expired tokens."""
    connection.execute(sa.delete(_t).where(_t.c.expires_at <= moment))


def filter_existing(connection: Connection, uuids: Iterable[str]) -> set[str]:
    """Return the instances among ``uuids`` that are not deleted."""
    query = sa.select(_i.c.uuid).where(
        _i.c.uuid.in_(list(uuids)), _i.c.vm_state != states.DELETED
    )
    return set(connection.execute(query).scalars())
