# SPDX-License-Identifier: Apache-2.0
"""Middleware: request ids, and the microversion and project of a request."""

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
        if '\x00' in req.path:
            raise exception.InvalidInput(
                'Malformed request URL: it contains a NUL character.'
            )
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
        if caller.project_id is None and not caller.is_admin:
            raise exception.Forbidden(
                'This request needs a token with a project scope; the token '
                'has none.'
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
