# SPDX-License-Identifier: Apache-2.0
"""The URLs in documents: of things, and of the next page."""

from collections.abc import Mapping
from typing import Any
from urllib import parse

Link = dict[str, str]


class Links:
    """Makes links for one request."""

    def __init__(self, base_url: str, project: str = '') -> None:
        """Take the URL of the application, without a slash last.

        ``project`` is the part of the path that names the project, with a
        slash last, when the client's URL had it.
        """
        self._version = f'{base_url}/v2.1/{project}'
        self._bookmark = f'{base_url}/{project}'

    def to(self, collection: str, number: str) -> list[Link]:
        """Return the links of a thing."""
        path = f'{collection}/{number}'
        return [
            {'rel': 'self', 'href': self._version + path},
            {'rel': 'bookmark', 'href': self._bookmark + path},
        ]

    def bookmark(self, collection: str, number: str) -> list[Link]:
        """Return the link to a thing that another one is made with."""
        href = f'{self._bookmark}{collection}/{number}'
        return [{'rel': 'bookmark', 'href': href}]

    def href(self, path: str) -> str:
        """Return the URL of a path below the version."""
        return self._version + path

    def next(
        self, path: str, params: Mapping[str, Any], marker: str
    ) -> list[Link]:
        """Return the link to the page behind ``marker``."""
        named = {**params, 'marker': marker}
        query = parse.urlencode(named, doseq=True)
        return [{'rel': 'next', 'href': f'{self._version}{path}?{query}'}]
