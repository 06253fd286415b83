# SPDX-License-Identifier: Apache-2.0
"""From which pages a browser may connect.

A browser lets any page open a websocket to anywhere, but says in ``Origin``
whose page it is (RFC 6455, 10.2). What is no browser sends none: it cannot be
lured, and needs its token all the same.
"""

import urllib.parse

from minova.conf import CONF

_PORTS = {'http': 80, 'https': 443}

Place = tuple[str, int | None]


def allows(origin: str | None, host: str | None) -> bool:
    """Tell whether a request may be from a page of ``origin``.

    ``host`` is the request's Host header.
    """
    if origin is None:
        return True
    asks = _parts(origin)
    if asks is None:
        return False
    scheme, place = asks
    if host is not None and place == _place(f'{scheme}://{host}'):
        return True
    taken = [CONF.vnc.base_url, *CONF.vnc.allowed_origins]
    return asks in [_parts(one) for one in taken]


def _parts(url: str) -> tuple[str, Place] | None:
    """Return scheme and place of a URL; None of what is none, as 'null'."""
    scheme = urllib.parse.urlsplit(url).scheme
    place = _place(url)
    if scheme not in _PORTS or place is None:
        return None
    return scheme, place


def _place(url: str) -> Place | None:
    """Return host and port of a URL, the port that its scheme has if none."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname:
        return None
    return parts.hostname, port or _PORTS.get(parts.scheme)
