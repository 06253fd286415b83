# SPDX-License-Identifier: Apache-2.0
"""The tokens of consoles: who may see a guest's screen, and until when.

A token counts while its row is there, has not expired, and its instance is
not deleted. Where the screen is does not stand here: a port that is
remembered may be another guest's by the time it is used.
"""

from collections.abc import Iterable
import datetime
from typing import Any

import sqlalchemy as sa

from minova import states
from minova.db import tables
from minova.db.connections.engine import Connection

_t = tables.console_tokens
_i = tables.instances


def insert(connection: Connection, values: dict[str, Any]) -> None:
    """Write a token."""
    connection.execute(sa.insert(_t).values(values))


def find(
    connection: Connection, token_hash: str, moment: datetime.datetime
) -> Any:
    """Return what a token is good for at a moment, None for nothing.

    instance_uuid, console_type, and the instance's host.
    """
    return connection.execute(
        sa.select(_t.c.instance_uuid, _t.c.console_type, _i.c.host)
        .join(_i, _i.c.uuid == _t.c.instance_uuid)
        .where(
            _t.c.token_hash == token_hash,
            _t.c.expires_at > moment,
            _i.c.vm_state != states.DELETED,
        )
    ).first()


def delete_by_instance(connection: Connection, instance_uuid: str) -> None:
    """Remove the tokens of an instance."""
    connection.execute(
        sa.delete(_t).where(_t.c.instance_uuid == instance_uuid)
    )


def has_expired(connection: Connection, moment: datetime.datetime) -> bool:
    """Tell whether there is one that counts no more."""
    query = sa.select(_t.c.id).where(_t.c.expires_at <= moment).limit(1)
    return connection.execute(query).first() is not None


def delete_expired(connection: Connection, moment: datetime.datetime) -> None:
    """Remove those that count no more."""
    connection.execute(sa.delete(_t).where(_t.c.expires_at <= moment))


def filter_existing(connection: Connection, uuids: Iterable[str]) -> set[str]:
    """Return those of some instances that are not deleted."""
    query = sa.select(_i.c.uuid).where(
        _i.c.uuid.in_(list(uuids)), _i.c.vm_state != states.DELETED
    )
    return set(connection.execute(query).scalars())
