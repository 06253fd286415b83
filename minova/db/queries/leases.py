# SPDX-License-Identifier: Apache-2.0
"""Leases: work that only one of several equal services does at a time."""

import datetime

from oslo_db import exception as db_exception
import sqlalchemy as sa

from minova.db import tables
from minova.db import types
from minova.db.connections.engine import Connection
from minova.db.connections.engine import Database

_t = tables.leases

_NOW = sa.select(types.now().label('now'))
_FIND = sa.select(
    types.now().label('now'), _t.c.holder, _t.c.expires_at
).where(_t.c.name == sa.bindparam('the_name'))
_INSERT = sa.insert(_t)
#: Applies only if the row is unchanged since it was read.
_RENEW = sa.update(_t).where(
    _t.c.name == sa.bindparam('the_name'),
    _t.c.holder == sa.bindparam('read_holder'),
    _t.c.expires_at == sa.bindparam('read_expires_at'),
)


def acquire(
    database: Database, name: str, holder: str, duration: float
) -> bool:
    """Acquire or renew a lease for ``duration`` seconds; False if it is held.

    The database's clock counts, so that the holders' clocks may differ.
    """

    def renew(connection: Connection) -> bool:
        found = connection.execute(_FIND, {'the_name': name}).first()
        if found is None:
            moment = connection.execute(_NOW).scalar_one()
            values = {'name': name, 'holder': holder}
            connection.execute(_INSERT, values | {'expires_at': moment + span})
            return True
        if found.holder != holder and found.expires_at >= found.now:
            return False
        result = connection.execute(
            _RENEW,
            {
                'the_name': name,
                'read_holder': found.holder,
                'read_expires_at': found.expires_at,
                'holder': holder,
                'expires_at': found.now + span,
            },
        )
        return result.rowcount == 1

    span = datetime.timedelta(seconds=duration)
    try:
        return database.write(renew)
    except db_exception.DBDuplicateEntry:
        # Another service has inserted the lease meanwhile.
        return False


def release(database: Database, name: str, holder: str) -> None:
    """Release a lease before it expires."""
    database.write(
        lambda connection: connection.execute(
            sa.delete(_t).where(_t.c.name == name, _t.c.holder == holder)
        )
    )
