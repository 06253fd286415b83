# SPDX-License-Identifier: Apache-2.0
"""What happens to every request before it is routed, and to every reply."""

import re
from typing import Final

import falcon

from minova import exception
from minova.api.http import microversion
from minova.context import Context
from minova.context import generate_request_id

_GLOBAL_ID: Final = re.compile('req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')
#: What the id of a project looks like.
_PROJECT: Final = re.compile('[0-9a-f-]{8,64}')
_ROOT: Final = '/v2.1'


class RequestIds:
    """Gives each request an id, and notes the one that its client has."""

    def process_request(
        self, req: falcon.Request, resp: falcon.Response
    ) -> None:
        """Choose an id; take the client's as global, if it is one."""
        number = generate_request_id()
        req.context.request_id = number
        given = req.get_header('X-OpenStack-Request-ID') or ''
        req.context.global_request_id = (
            given if _GLOBAL_ID.fullmatch(given) else None
        )
        # Set now, so that every reply has them, whatever happens.
        resp.set_header('X-OpenStack-Request-ID', number)
        resp.set_header('X-Compute-Request-ID', number)


class Microversion:
    """The microversion, and the project that a URL may name."""

    def __init__(self, first_segments: frozenset[str]) -> None:
        """Take what may stand first in a path below the version."""
        self._first_segments = first_segments

    def process_request(
        self, req: falcon.Request, resp: falcon.Response
    ) -> None:
        """Read both; take the project out of the path that is routed."""
        if '\x00' in req.path:
            raise exception.InvalidInput(
                'Malformed request URL: it holds a NUL character.'
            )
        req.context.project = ''
        req.context.version = microversion.MINIMUM
        if req.path != _ROOT and not req.path.startswith(_ROOT + '/'):
            return
        req.context.version = version = microversion.parse_requested(req)
        microversion.set_version_headers(resp, version)
        caller = req.context.caller
        if caller is not None:
            self._require_project(caller)
            self._strip_project(req, caller)

    def _require_project(self, caller: Context) -> None:
        if caller.project_id is None and not caller.is_admin:
            raise exception.Forbidden(
                'This needs a token for a project; the one given is for none.'
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
