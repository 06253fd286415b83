# SPDX-License-Identifier: Apache-2.0
"""Pages: how long one is, and the link to the next."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import TypeVar

from minova.api.ask import Ask
from minova.conf import CONF

T = TypeVar('T')


def limit(ask: Ask) -> int:
    """Return how many entries a page may have."""
    most: int = CONF.api.max_limit
    wanted: int = ask.query.get('limit', most)
    return min(wanted, most)


def cut(
    ask: Ask,
    path: str,
    found: Sequence[T],
    marker: Callable[[T], Any],
) -> tuple[Sequence[T], list[dict[str, str]]]:
    """Return a page and the links behind it, [] for the last page.

    ``found`` is one entry longer than the page if there are more;
    ``marker`` names an entry.
    """
    size = limit(ask)
    if len(found) <= size or size == 0:
        return found[:size], []
    page = found[:size]
    return page, ask.links.next(path, ask.raw_query, str(marker(page[-1])))
