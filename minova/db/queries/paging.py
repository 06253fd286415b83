# SPDX-License-Identifier: Apache-2.0
"""Pagination: a page begins after the row that the client names, the marker.

The position is the marker's place in the order of the list, so that rows
inserted or deleted between two pages neither repeat nor skip other rows. The
last key of an order is unique.
"""

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import datetime
from typing import Any

import sqlalchemy as sa

from minova.db import types
from minova.db.connections.engine import Connection

#: The value that sorts in place of NULL; databases place NULLs differently.
_NULL_SUBSTITUTES: dict[type, str | int | datetime.datetime] = {
    str: '',
    int: -1,
    bool: False,
    datetime.datetime: datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC),
}


@dataclasses.dataclass(frozen=True)
class SortKey:
    """A column that a list is sorted by."""

    column: sa.Column[Any]
    descending: bool = False

    @property
    def value(self) -> types.Column:
        """The column, with a value in place of NULL."""
        if not self.column.nullable:
            return self.column
        instead = _NULL_SUBSTITUTES[self.column.type.python_type]
        return sa.func.coalesce(
            self.column, sa.literal(instead, self.column.type)
        )


def order_by(keys: Iterable[SortKey]) -> list[types.Column]:
    """Return the ORDER BY of a query."""
    return [
        key.value.desc() if key.descending else key.value.asc() for key in keys
    ]


def after_marker(
    connection: Connection,
    keys: Sequence[SortKey],
    *marker: types.Condition,
) -> types.Condition | None:
    """Return the condition that a row comes after the marker.

    ``marker`` are the conditions that select the marker's row. None if there
    is no such row.
    """
    row = connection.execute(
        sa.select(*(key.value for key in keys)).where(*marker)
    ).first()
    if row is None:
        return None
    places = []
    for key, value in zip(keys, row, strict=True):
        bound = sa.literal(value, key.column.type)
        further = key.value < bound if key.descending else key.value > bound
        places.append((further, key.value == bound))
    return _combine(places)


def after_values(
    columns: Sequence[types.Column], marker: Sequence[object]
) -> types.Condition:
    """Return the condition that a row comes after a marker's values.

    The order is that of the columns, ascending; none of them may be NULL.
    """
    places = [
        (column > value, column == value)
        for column, value in zip(columns, marker, strict=True)
    ]
    # The first condition is redundant; it lets databases use the index.
    return sa.and_(columns[0] >= marker[0], _combine(places))


def _combine(
    places: Sequence[tuple[types.Condition, types.Condition]],
) -> types.Condition:
    """Return the lexicographic comparison, from each key's comparisons."""
    condition: types.Condition = sa.false()
    for further, same in reversed(places):
        condition = sa.or_(further, sa.and_(same, condition))
    return condition
