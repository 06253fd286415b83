# SPDX-License-Identifier: Apache-2.0
"""Where guests are in the NUMA cells of their hosts: a part of allocations.

``engine.placements`` chooses a placement under the lock of the host's row.
"""

from typing import Any
from typing import NamedTuple

import sqlalchemy as sa

from minova.db import tables
from minova.db.connections.engine import Connection

_a = tables.allocations


class PlacedGuest(NamedTuple):
    """An allocation with a placement in the NUMA cells of its host."""

    host: str
    instance_uuid: str
    consumer: str
    placement: dict[str, Any]


_ALL = (
    sa.select(*(_a.c[name] for name in PlacedGuest._fields))
    .where(_a.c.placement.is_not(None))
    .order_by(_a.c.id)
)
_ON_HOST = _ALL.where(_a.c.host == sa.bindparam('the_host'))
_SET = sa.update(_a).where(
    _a.c.instance_uuid == sa.bindparam('the_instance'),
    _a.c.host == sa.bindparam('the_host'),
    _a.c.consumer == sa.bindparam('the_consumer'),
)


def list_placements(
    connection: Connection, host: str | None = None
) -> list[PlacedGuest]:
    """Return the guests with a placement, of one host or of all."""
    query, values = _ALL, {}
    if host is not None:
        query, values = _ON_HOST, {'the_host': host}
    return [PlacedGuest(*row) for row in connection.execute(query, values)]


def set_placement(
    connection: Connection,
    host: str,
    instance_uuid: str,
    consumer: str,
    placement: dict[str, Any],
) -> None:
    """Store where the cells of a guest are, with its allocation."""
    connection.execute(
        _SET,
        {
            'the_instance': instance_uuid,
            'the_host': host,
            'the_consumer': consumer,
            'placement': placement,
        },
    )
