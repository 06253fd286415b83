# SPDX-License-Identifier: Apache-2.0
"""The files of the clients noVNC and spice-html5.

Both have files at the top of their directory, so those of spice-html5 are
served below ``/spice/``.
"""

import http
import mimetypes
import os
from typing import Final
import urllib.parse

from websockets.datastructures import Headers
from websockets.http11 import Response

from minova.conf import CONF

#: Types that some platforms lack or define in a form that browsers refuse.
_TYPES: Final = {
    '.js': 'text/javascript; charset=utf-8',
    '.mjs': 'text/javascript; charset=utf-8',
    '.html': 'text/html; charset=utf-8',
    '.css': 'text/css; charset=utf-8',
    '.json': 'application/json',
    '.svg': 'image/svg+xml',
    '.woff': 'font/woff',
    '.woff2': 'font/woff2',
}

_MISSING: Final = """\
The client {package} is not installed: directory {web} does not exist.
Install it (on Debian: apt-get install {package}), or set [{group}] web.
"""
_SPICE_PREFIX: Final = '/spice'


def serve(method: str, path: str) -> Response:
    """Return the reply to a request for a file; ``path`` has no query."""
    if method not in ('GET', 'HEAD'):
        return text_response(
            http.HTTPStatus.METHOD_NOT_ALLOWED,
            'The proxy supports GET and HEAD only.\n',
        )
    found = _read_page(path)
    if method == 'HEAD':
        found.body = b''
    return found


def _read_page(path: str) -> Response:
    group, package = 'vnc', 'novnc'
    if path.startswith(f'{_SPICE_PREFIX}/'):
        group, package = 'spice', 'spice-html5'
        path = path.removeprefix(_SPICE_PREFIX)
    web = CONF[group].web
    if not os.path.isdir(web):
        return text_response(
            http.HTTPStatus.NOT_FOUND,
            _MISSING.format(web=web, group=group, package=package),
        )
    found = _find_file(web, urllib.parse.unquote(path))
    if found is None:
        return text_response(
            http.HTTPStatus.NOT_FOUND, 'There is no such page.\n'
        )
    try:
        with open(found, 'rb') as file:
            content = file.read()
    except OSError:
        return text_response(
            http.HTTPStatus.NOT_FOUND, 'There is no such page.\n'
        )
    ending = os.path.splitext(found)[1].lower()
    kind = _TYPES.get(ending) or mimetypes.guess_type(found)[0]
    return _response(
        http.HTTPStatus.OK, kind or 'application/octet-stream', content
    )


def text_response(status: http.HTTPStatus, text: str) -> Response:
    """Return a reply with a text."""
    return _response(status, 'text/plain; charset=utf-8', text.encode())


def _find_file(web: str, path: str) -> str | None:
    """Return the file of a path below ``web``, or None.

    Symbolic links of the package may lead elsewhere; they are followed.
    """
    names = path.split('/')[1:]
    if '\0' in path or any(name.startswith('.') for name in names):
        return None
    found = os.path.join(web, *names)
    return found if os.path.isfile(found) else None


def _response(status: http.HTTPStatus, kind: str, content: bytes) -> Response:
    headers = Headers(
        [
            ('Content-Type', kind),
            ('Content-Length', str(len(content))),
            ('Connection', 'close'),
            ('X-Content-Type-Options', 'nosniff'),
            # The URL of the page contains a token.
            ('Referrer-Policy', 'no-referrer'),
        ]
    )
    return Response(status.value, status.phrase, headers, content)
