# SPDX-License-Identifier: Apache-2.0
"""From which pages a browser may connect.

A browser lets any page open a websocket to anywhere, but says in ``Origin``
whose page it is (RFC 6455, 10.2). What is no browser sends none: it cannot be
lured, and needs its token all the same.
"""

import urllib.parse

from minova.conf import CONF

_PORTS = {'http': 80, 'https': 443}

HostAndPort = tuple[str, int | None]


def is_allowed(origin: str | None, host: str | None) -> bool:
    """Tell whether a request may be from a page of ``origin``.

    ``host`` is the request's Host header.
    """
    if origin is None:
        return True
    requesting = _origin_parts(origin)
    if requesting is None:
        return False
    scheme, host_and_port = requesting
    if host is not None and host_and_port == _host_and_port(
        f'{scheme}://{host}'
    ):
        return True
    allowed = [CONF.vnc.novncproxy_base_url, *CONF.vnc.allowed_origins]
    return requesting in [_origin_parts(one) for one in allowed]


def _origin_parts(url: str) -> tuple[str, HostAndPort] | None:
    """Return scheme and place of a URL; None of what is none, as 'null'."""
    scheme = urllib.parse.urlsplit(url).scheme
    host_and_port = _host_and_port(url)
    if scheme not in _PORTS or host_and_port is None:
        return None
    return scheme, host_and_port


def _host_and_port(url: str) -> HostAndPort | None:
    """Return host and port of a URL, the port that its scheme has if none."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname:
        return None
    return parts.hostname, port or _PORTS.get(parts.scheme)
