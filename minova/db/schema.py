# SPDX-License-Identifier: Apache-2.0
"""The schema version that this release requires.

Every service checks it at its start, without loading Alembic.
"""

from oslo_config import cfg
import sqlalchemy as sa

from minova import exception
from minova.db.connections import engine
from minova.db.connections.engine import Connection
from minova.db.connections.engine import Database

#: The newest revision of this release; a test compares it with Alembic's.
HEAD = '0001'

_version = sa.table('alembic_version', sa.column('version_num'))


def current(database: Database) -> str | None:
    """Return the revision of the database, None for an empty one."""

    def work(connection: Connection) -> str | None:
        if not sa.inspect(connection).has_table('alembic_version'):
            return None
        found = connection.execute(sa.select(_version.c.version_num))
        return found.scalar()

    return database.read(work)


def require(database: Database) -> None:
    """Raise Unavailable for a schema older than this release requires.

    A newer schema is accepted: consecutive releases work together.
    """
    found = current(database)
    if found is None or found < HEAD:
        raise exception.Unavailable(
            what='The database',
            reason=f'its schema is at revision {found or "none"}, this '
            f'release requires {HEAD}; run "minova-manage db sync"',
        )


def connect(conf: cfg.ConfigOpts, timeout: float | None = None) -> Database:
    """Return the configured database; raise Unavailable for an old schema.

    ``timeout`` as for ``engine.connect``.
    """
    database = engine.connect(conf, timeout=timeout)
    try:
        require(database)
    except exception.MinovaException:
        database.dispose()
        raise
    return database
