# SPDX-License-Identifier: Apache-2.0
"""The URLs in documents: of things, and of the next page."""

from collections.abc import Mapping
from typing import Any
from urllib import parse

Link = dict[str, str]


class Links:
    """Makes links for one request."""

    def __init__(self, novncproxy_base_url: str, project: str = '') -> None:
        """Take the URL of the application, without a slash last.

        ``project`` is the part of the path that names the project, with a
        slash last, when the client's URL had it.
        """
        self._version = f'{novncproxy_base_url}/v2.1/{project}'
        self._bookmark = f'{novncproxy_base_url}/{project}'

    def resource_links(self, collection: str, resource_id: str) -> list[Link]:
        """Return the links of a thing."""
        path = f'{collection}/{resource_id}'
        return [
            {'rel': 'self', 'href': self._version + path},
            {'rel': 'bookmark', 'href': self._bookmark + path},
        ]

    def bookmark_links(self, collection: str, resource_id: str) -> list[Link]:
        """Return the link to a thing that another one is made with."""
        href = f'{self._bookmark}{collection}/{resource_id}'
        return [{'rel': 'bookmark', 'href': href}]

    def href(self, path: str) -> str:
        """Return the URL of a path below the version."""
        return self._version + path

    def next_page(
        self, path: str, params: Mapping[str, Any], marker: str
    ) -> list[Link]:
        """Return the link to the page behind ``marker``."""
        named = {**params, 'marker': marker}
        query = parse.urlencode(named, doseq=True)
        return [{'rel': 'next', 'href': f'{self._version}{path}?{query}'}]
