# SPDX-License-Identifier: Apache-2.0
"""Middleware: request ids, the URL, the microversion and the project.

No URL with control characters or of unusual length reaches a handler, an error
text or a log.
"""

import re
from typing import Final

import falcon

from minova import exception
from minova.api.http import microversion
from minova.context import Context
from minova.context import generate_request_id

_GLOBAL_ID: Final = re.compile('req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')
#: The form of a project id.
_PROJECT: Final = re.compile('[0-9a-f-]{8,64}')
_ROOT: Final = '/v2.1'
#: The root for clients that do not know microversions.
_LEGACY_ROOT: Final = '/v2'
#: C0 and C1 control characters, and the separators of Unicode.
_CONTROL: Final = re.compile('[\x00-\x1f\x7f-\x9f\u2028\u2029]')
#: The maxima of a URL: no id, name or tag is longer than a segment.
_MAX_SEGMENT: Final = 255
_MAX_QUERY: Final = 16384
_MAX_PARAMS: Final = 400


class RequestIds:
    """Generates the request id and keeps the client's global request id."""

    def process_request(
        self, req: falcon.Request, resp: falcon.Response
    ) -> None:
        """Set both ids; ignore a global id that is malformed."""
        number = generate_request_id()
        req.context.request_id = number
        given = req.get_header('X-OpenStack-Request-ID') or ''
        req.context.global_request_id = (
            given if _GLOBAL_ID.fullmatch(given) else None
        )
        # Set now, so that error replies have them too.
        resp.set_header('X-OpenStack-Request-ID', number)
        resp.set_header('X-Compute-Request-ID', number)


class BoundedUrl:
    """Refuses a URL that no client needs, before anything else reads it."""

    def process_request(
        self, req: falcon.Request, resp: falcon.Response
    ) -> None:
        """Check the path and the query.

        The query is measured before it is read: a parameter that is repeated
        thousands of times costs each list, statement and log line that it
        reaches.
        """
        if len(req.query_string) > _MAX_QUERY:
            raise falcon.HTTPUriTooLong(
                description='The query of the URL is longer than '
                f'{_MAX_QUERY} characters.'
            )
        texts = [req.path]
        for name, value in req.params.items():
            texts.append(name)
            texts += value if isinstance(value, list) else [value]
        if len(texts) - len(req.params) - 1 > _MAX_PARAMS:
            raise falcon.HTTPUriTooLong(
                description=f'The URL has more than {_MAX_PARAMS} parameters.'
            )
        if any(map(_CONTROL.search, texts)):
            raise exception.InvalidInput(
                'Malformed request URL: it contains control characters, such '
                'as NUL or a line break.'
            )
        if any(len(one) > _MAX_SEGMENT for one in req.path.split('/')):
            raise exception.NotFound


class Microversion:
    """Reads the microversion, and the project that a URL may contain.

    Below /v2 the version is the first one, whatever the headers say.
    """

    def __init__(self, first_segments: frozenset[str]) -> None:
        """Take the first path segments of all endpoints."""
        self._first_segments = first_segments

    def process_request(
        self, req: falcon.Request, resp: falcon.Response
    ) -> None:
        """Set the version and remove the project from the path for routing."""
        req.context.project = ''
        req.context.version = microversion.MINIMUM
        req.context.root = _ROOT
        req.context.is_legacy = req.path.startswith(f'{_LEGACY_ROOT}/')
        if req.context.is_legacy:
            req.context.root = _LEGACY_ROOT
            req.path = _ROOT + req.path.removeprefix(_LEGACY_ROOT)
            self._apply_project(req)
            return
        if req.path != _ROOT and not req.path.startswith(_ROOT + '/'):
            return
        req.context.version = version = microversion.parse_requested(req)
        microversion.set_version_headers(resp, version)
        self._apply_project(req)

    def _apply_project(self, req: falcon.Request) -> None:
        caller = req.context.caller
        if caller is not None:
            self._require_project(caller)
            self._strip_project(req, caller)

    def _require_project(self, caller: Context) -> None:
        if not caller.project_id:
            raise exception.Forbidden(
                'This request needs a token with a project scope; the token '
                'is unscoped. Use a token for a project.'
            )

    def _strip_project(self, req: falcon.Request, caller: Context) -> None:
        parts = req.path.split('/', 3)
        if len(parts) < 4 or parts[2] in self._first_segments:
            return
        _, _, first, rest = parts
        if first == caller.project_id:
            req.context.project = f'{first}/'
            req.path = f'{_ROOT}/{rest}'
        elif _PROJECT.fullmatch(first):
            raise exception.InvalidInput(
                f"Malformed request URL: URL's project_id '{first}' doesn't "
                f"match Context's project_id '{caller.project_id}'"
            )
