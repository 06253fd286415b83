# SPDX-License-Identifier: Apache-2.0
"""Pages of a list: their size, and the link to the next page."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import TypeVar

from minova import exception
from minova.api.http.request import ApiRequest
from minova.api.views import Document
from minova.api.views.links import Link
from minova.conf import CONF

T = TypeVar('T')


def get_page_size(request: ApiRequest) -> int:
    """Return how many entries a page may have."""
    max_limit: int = CONF.api.max_limit
    requested: int = request.query.get('limit', max_limit)
    return min(requested, max_limit)


def make_list(key: str, entries: object, links: list[Link]) -> Document:
    """Return a reply with a page, and its links unless there are none."""
    result: Document = {key: entries}
    if links:
        result[f'{key}_links'] = links
    return result


def after_marker(
    request: ApiRequest, found: Sequence[T], get_id: Callable[[T], str | int]
) -> Sequence[T]:
    """Return the entries after the one that the query names as marker.

    InvalidInput when no entry has this id.
    """
    marker = request.query.get('marker')
    if marker is None:
        return found
    for position, entry in enumerate(found):
        if str(get_id(entry)) == marker:
            return found[position + 1 :]
    raise exception.InvalidInput(f'marker [{marker}] not found')


def paginate(
    request: ApiRequest,
    path: str,
    found: Sequence[T],
    marker: Callable[[T], str | int],
) -> tuple[Sequence[T], list[Link]]:
    """Return a page and its links, [] for the last page.

    ``found`` has one entry more than the page if there are more entries;
    ``marker`` returns the id of an entry.
    """
    size = get_page_size(request)
    if len(found) <= size or size == 0:
        return found[:size], []
    page = found[:size]
    return page, request.links.next_page(
        path, request.raw_query, str(marker(page[-1]))
    )
