# SPDX-License-Identifier: Apache-2.0
"""minova-manage db: the schema."""

import argparse

from minova.cmd.commands import Commands
from minova.conf import CONF
from minova.db import schema
from minova.db.connections import engine


def sync(arguments: argparse.Namespace) -> int:
    """Bring the database's schema up to this release's."""
    from minova.db import migrate

    database = engine.connect(CONF)
    before = schema.current(database)
    # A newer release may have been there: it works with this one, and its
    # migrations are not known here.
    if before is None or before < schema.HEAD:
        migrate.sync(database)
    after = schema.current(database)
    if before == after:
        print(f'The schema is at {after} already.')
    else:
        print(f'The schema went from {before or "nothing"} to {after}.')
    return 0


def version(arguments: argparse.Namespace) -> int:
    """Print the revision of the database, and the one that is needed."""
    found = schema.current(engine.connect(CONF))
    print(f'{found or "empty"} (this release needs {schema.HEAD})')
    return 0 if found is not None and found >= schema.HEAD else 1


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    group = commands.add_group('db', 'the database')
    group.add_command('sync', sync)
    group.add_command('version', version)
