# SPDX-License-Identifier: Apache-2.0
"""The database that a command looks into."""

from minova.conf import CONF
from minova.db import engine
from minova.db import schema


def current() -> engine.Database:
    """Return the database; Unavailable when its schema is too old."""
    return schema.connect(CONF)
