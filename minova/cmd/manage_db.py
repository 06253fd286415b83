# SPDX-License-Identifier: Apache-2.0
"""minova-manage db: the schema of the database."""

import argparse

from minova.cmd.commands import Commands
from minova.conf import CONF
from minova.db import schema
from minova.db.connections import engine


def sync(arguments: argparse.Namespace) -> int:
    """Upgrade the schema of the database to this release."""
    from minova.db import migrate

    database = engine.connect(CONF)
    before = schema.current(database)
    # A newer schema stays: it works with this release, which does not have its
    # upgrade scripts.
    if before is None or before < schema.HEAD:
        migrate.sync(database)
    after = schema.current(database)
    if before == after:
        print(f'The schema is at revision {after} already.')
    else:
        print(f'The schema is upgraded from {before or "none"} to {after}.')
    return 0


def version(arguments: argparse.Namespace) -> int:
    """Print the schema's revision and the one that this release requires."""
    found = schema.current(engine.connect(CONF))
    print(f'{found or "empty"} (this release requires {schema.HEAD})')
    return 0 if found is not None and found >= schema.HEAD else 1


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    group = commands.add_group('db', 'the schema of the database')
    group.add_command('sync', sync, timeout=86400)
    group.add_command('version', version)
