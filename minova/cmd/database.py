# SPDX-License-Identifier: Apache-2.0
"""The database connection of minova-manage."""

from minova.conf import CONF
from minova.db import schema
from minova.db.connections import engine


def open_database() -> engine.Database:
    """Connect to the database; raise Unavailable for an old schema."""
    return schema.connect(CONF)
