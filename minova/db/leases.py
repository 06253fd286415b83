# SPDX-License-Identifier: Apache-2.0
"""Leases: what one of several equal services does at a time."""

import datetime

from oslo_db import exception as db_exception
import sqlalchemy as sa

from minova.db import tables
from minova.db import types
from minova.db.engine import Connection
from minova.db.engine import Database

_t = tables.leases


def take(database: Database, name: str, holder: str, seconds: float) -> bool:
    """Hold the lease ``name`` for ``seconds`` from now, if nobody else does.

    The database's clock decides, so the holders' clocks need not agree.
    """

    def renew(connection: Connection) -> bool:
        now = connection.execute(sa.select(types.now())).scalar_one()
        until = now + datetime.timedelta(seconds=seconds)
        mine = sa.or_(_t.c.holder == holder, _t.c.expires_at < now)
        result = connection.execute(
            sa.update(_t)
            .where(_t.c.name == name, mine)
            .values(holder=holder, expires_at=until)
        )
        if result.rowcount:
            return True
        known = connection.execute(
            sa.select(_t.c.name).where(_t.c.name == name)
        ).first()
        if known is not None:
            return False
        connection.execute(
            sa.insert(_t).values(name=name, holder=holder, expires_at=until)
        )
        return True

    try:
        return database.write(renew)
    except db_exception.DBDuplicateEntry:
        # Another one made the very first entry a moment ago.
        return False


def give_back(database: Database, name: str, holder: str) -> None:
    """Let the next one have the lease without waiting for its end."""
    database.write(
        lambda connection: connection.execute(
            sa.delete(_t).where(_t.c.name == name, _t.c.holder == holder)
        )
    )
