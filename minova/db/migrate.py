# SPDX-License-Identifier: Apache-2.0
"""Schema upgrades with Alembic."""

import os
from typing import cast

from alembic import command
from alembic import config as alembic_config
from alembic import script

from minova.db.connections.engine import Database

_SCRIPTS = os.path.join(os.path.dirname(__file__), 'migrations')


def _config(database: Database) -> alembic_config.Config:
    config = alembic_config.Config()
    config.set_main_option('script_location', _SCRIPTS)
    config.attributes['engine'] = database.engine
    return config


def sync(database: Database, revision: str = 'head') -> None:
    """Upgrade the schema to ``revision``; do nothing if it is there."""
    command.upgrade(_config(database), revision)


def head_revision(database: Database) -> str:
    """Return the newest revision of this release."""
    directory = script.ScriptDirectory.from_config(_config(database))
    return cast(str, directory.get_current_head())
