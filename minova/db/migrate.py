# SPDX-License-Identifier: Apache-2.0
"""The schema's versions: up to the newest, with alembic."""

import os
from typing import cast

from alembic import command
from alembic import config as alembic_config
from alembic import script

from minova.db.connections.engine import Database

_SCRIPTS = os.path.join(os.path.dirname(__file__), 'migrations')


def _config(database: Database) -> alembic_config.Config:
    made = alembic_config.Config()
    made.set_main_option('script_location', _SCRIPTS)
    made.attributes['engine'] = database.engine
    return made


def sync(database: Database, revision: str = 'head') -> None:
    """Bring the schema up to ``revision``; nothing when it is there."""
    command.upgrade(_config(database), revision)


def head_revision(database: Database) -> str:
    """Return the newest of the migrations."""
    directory = script.ScriptDirectory.from_config(_config(database))
    return cast(str, directory.get_current_head())
