# SPDX-License-Identifier: Apache-2.0
"""The reply to a request, whose headers never contain control characters.

WSGI servers differ: one sends a line break in a value as the end of the
header, so that a user can set headers for others; another fails after the
request has taken effect.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import re
from typing import Final

import falcon

_CONTROL: Final = re.compile('[\x00-\x1f\x7f]')


class SafeResponse(falcon.Response):
    """A response that removes control characters from its headers."""

    def set_header(self, name: str, value: str) -> None:
        """Set a header."""
        super().set_header(name, _CONTROL.sub('', value))

    def append_header(self, name: str, value: str) -> None:
        """Append a value to a header."""
        super().append_header(name, _CONTROL.sub('', value))

    def set_headers(
        self, headers: Mapping[str, str] | Iterable[tuple[str, str]]
    ) -> None:
        """Set several headers."""
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        for name, value in pairs:
            self.set_header(name, value)
