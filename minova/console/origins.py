# SPDX-License-Identifier: Apache-2.0
"""The origins whose pages may connect.

A browser lets any page open a websocket to any server, but names the page's
origin in ``Origin`` (RFC 6455, 10.2). Other clients send no ``Origin``: no
page can misuse them, and they need a token too.
"""

import urllib.parse

from minova.conf import CONF

_PORTS = {'http': 80, 'https': 443}

HostAndPort = tuple[str, int | None]


def is_allowed(origin: str | None, host: str | None) -> bool:
    """Return whether a page of ``origin`` may connect.

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
    allowed = [
        CONF.vnc.novncproxy_base_url,
        CONF.spice.html5proxy_base_url,
        *CONF.vnc.allowed_origins,
    ]
    return requesting in [_origin_parts(one) for one in allowed]


def _origin_parts(url: str) -> tuple[str, HostAndPort] | None:
    """Return scheme, host and port of a URL; None for another text."""
    scheme = urllib.parse.urlsplit(url).scheme
    host_and_port = _host_and_port(url)
    if scheme not in _PORTS or host_and_port is None:
        return None
    return scheme, host_and_port


def _host_and_port(url: str) -> HostAndPort | None:
    """Return host and port of a URL; the port defaults to the scheme's."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname:
        return None
    return parts.hostname, port or _PORTS.get(parts.scheme)
