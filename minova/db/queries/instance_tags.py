# SPDX-License-Identifier: Apache-2.0
"""The tags of instances."""

from collections.abc import Iterable

import sqlalchemy as sa

from minova.db import tables
from minova.db.connections.engine import Connection

_t = tables.instance_tags


def list_tags(connection: Connection, instance_uuid: str) -> list[str]:
    """Return the tags of an instance, sorted."""
    found = connection.execute(
        sa.select(_t.c.tag).where(_t.c.instance_uuid == instance_uuid)
    )
    return sorted(found.scalars())


def add(
    connection: Connection, instance_uuids: Iterable[str], tags: Iterable[str]
) -> None:
    """Add tags to new instances, which have none."""
    rows = [
        {'instance_uuid': uuid, 'tag': tag}
        for tag in tags
        for uuid in instance_uuids
    ]
    if rows:
        connection.execute(sa.insert(_t), rows)


def replace(
    connection: Connection, instance_uuid: str, tags: Iterable[str]
) -> None:
    """Replace all tags of an instance; the transaction has locked its row."""
    connection.execute(
        sa.delete(_t).where(_t.c.instance_uuid == instance_uuid)
    )
    add(connection, [instance_uuid], tags)
