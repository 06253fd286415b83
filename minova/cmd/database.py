# SPDX-License-Identifier: Apache-2.0
"""The database that a command looks into."""

from minova.conf import CONF
from minova.db import schema
from minova.db.connections import engine


def open_database() -> engine.Database:
    """Return the database; Unavailable when its schema is too old."""
    return schema.connect(CONF)
