# SPDX-License-Identifier: Apache-2.0
"""Whether the database is at the schema that this release works with.

Asked by every service that starts, without loading alembic.
"""

from oslo_config import cfg
import sqlalchemy as sa

from minova import exception
from minova.db.connections import engine
from minova.db.connections.engine import Connection
from minova.db.connections.engine import Database

#: The newest migration that this release knows; a test compares.
HEAD = '0001'

_version = sa.table('alembic_version', sa.column('version_num'))


def current(database: Database) -> str | None:
    """Return the revision that the database is at, None when it is empty."""

    def work(connection: Connection) -> str | None:
        if not sa.inspect(connection).has_table('alembic_version'):
            return None
        found = connection.execute(sa.select(_version.c.version_num))
        return found.scalar()

    return database.read(work)


def require(database: Database) -> None:
    """Raise Unavailable for a schema older than this release's.

    One that is newer is fine: releases that follow each other work together.
    """
    found = current(database)
    if found is None or found < HEAD:
        raise exception.Unavailable(
            what='The database',
            reason=f'its schema is at {found or "nothing"} and this release '
            f'needs {HEAD}; run "minova-manage db sync"',
        )


def connect(conf: cfg.ConfigOpts, timeout: float | None = None) -> Database:
    """Return the configured database; Unavailable when it is too old.

    ``patience`` as for ``engine.connect``.
    """
    database = engine.connect(conf, timeout=timeout)
    try:
        require(database)
    except exception.MinovaException:
        database.dispose()
        raise
    return database
