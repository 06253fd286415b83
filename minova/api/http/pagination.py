# SPDX-License-Identifier: Apache-2.0
"""Pages: how long one is, and the link to the next."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import TypeVar

from minova.api.http.request import ApiRequest
from minova.conf import CONF

T = TypeVar('T')


def get_page_size(request: ApiRequest) -> int:
    """Return how many entries a page may have."""
    max_limit: int = CONF.api.max_limit
    requested: int = request.query.get('limit', max_limit)
    return min(requested, max_limit)


def paginate(
    request: ApiRequest,
    path: str,
    found: Sequence[T],
    marker: Callable[[T], Any],
) -> tuple[Sequence[T], list[dict[str, str]]]:
    """Return a page and the links behind it, [] for the last page.

    ``found`` is one entry longer than the page if there are more;
    ``marker`` names an entry.
    """
    size = get_page_size(request)
    if len(found) <= size or size == 0:
        return found[:size], []
    page = found[:size]
    return page, request.links.next_page(
        path, request.raw_query, str(marker(page[-1]))
    )
