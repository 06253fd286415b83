# SPDX-License-Identifier: Apache-2.0
"""Links to resources and to the next page of a list."""

from collections.abc import Mapping
from urllib import parse

Link = dict[str, str]


class Links:
    """Makes the links of one request."""

    def __init__(
        self, base_url: str, project: str = '', root: str = '/v2.1'
    ) -> None:
        """Take the base URL of the application, without a trailing slash.

        ``project`` is the project in the path of the request's URL, with a
        slash at the end, or '' if the URL has none; ``root`` is the path of
        the API version.
        """
        self._base_url = base_url
        self._version = f'{base_url}{root}/{project}'
        self._bookmark = f'{base_url}/{project}'

    def resource_links(self, collection: str, resource_id: str) -> list[Link]:
        """Return the links of a resource."""
        path = f'{collection}/{resource_id}'
        return [
            {'rel': 'self', 'href': self._version + path},
            {'rel': 'bookmark', 'href': self._bookmark + path},
        ]

    def bookmark_links(self, collection: str, resource_id: str) -> list[Link]:
        """Return the link to a resource that another resource refers to."""
        href = f'{self._bookmark}{collection}/{resource_id}'
        return [{'rel': 'bookmark', 'href': href}]

    def root_href(self, path: str) -> str:
        """Return the URL of the root of an API version."""
        return f'{self._base_url}/{path}/'

    def href(self, path: str) -> str:
        """Return the URL of a path below the version."""
        return self._version + path

    def next_page(
        self, path: str, params: Mapping[str, object], marker: str
    ) -> list[Link]:
        """Return the link to the page after ``marker``."""
        named = {**params, 'marker': marker}
        query = parse.urlencode(named, doseq=True)
        return [{'rel': 'next', 'href': f'{self._version}{path}?{query}'}]
