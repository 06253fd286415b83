# SPDX-License-Identifier: Apache-2.0
"""Endpoints: each is one row, and one function handles all of them.

Handling a request: select the row for the microversion (404 if there is none);
authorize the caller (a handler of a server does this after it has loaded the
server); validate query and body; call the handler.
"""

from collections.abc import Callable
from collections.abc import Iterable
import dataclasses
from typing import Any
from typing import Final

import falcon
import orjson

from minova import exception
from minova import json_bodies
from minova.api.backend import Backend
from minova.api.http import microversion
from minova.api.http.request import ApiRequest
from minova.api.schemas import queries
from minova.api.schemas.bodies import BodySchema
from minova.api.views import Document
from minova.api.views.links import Links
from minova.conf import CONF
from minova.context import Context
from minova.policy import Policy

#: Returns the document of the reply, or None for an empty reply.
Handler = Callable[..., Document | None]

_JSON: Final = 'application/json'
_NO_CONTENT: Final = 204


@dataclasses.dataclass(frozen=True)
class Route:
    """One endpoint, for a range of microversions."""

    method: str
    path: str
    handler: Handler
    #: The policy rule; None for a public endpoint.
    rule: str | None
    status: int = 200
    query: queries.QuerySchema = queries.NO_PARAMS
    body: BodySchema | None = None
    since: int = microversion.MINIMUM
    until: int = microversion.MAXIMUM

    @property
    def is_server_route(self) -> bool:
        """Return whether the handler authorizes, by the server's owner."""
        return '{server_id}' in self.path


def build_resources(
    routes: Iterable[Route], backend: Backend, policy: Policy
) -> dict[str, object]:
    """Return falcon's resources by path, one for all rows of a path."""
    by_path: dict[str, dict[str, list[Route]]] = {}
    for route in routes:
        methods = by_path.setdefault(route.path, {})
        methods.setdefault(route.method, []).append(route)
    return {
        path: _build_resource(methods, backend, policy)
        for path, methods in by_path.items()
    }


def _build_resource(
    methods: dict[str, list[Route]], backend: Backend, policy: Policy
) -> object:
    members = {
        f'on_{method.lower()}': staticmethod(
            _make_responder(rows, backend, policy)
        )
        for method, rows in methods.items()
    }
    made: object = type('Resource', (), members)()
    return made


def _make_responder(
    rows: list[Route], backend: Backend, policy: Policy
) -> Callable[..., None]:
    def respond(
        req: falcon.Request, resp: falcon.Response, **params: str
    ) -> None:
        version: int = req.context.version
        for route in rows:
            if route.since <= version <= route.until:
                _handle(route, backend, policy, req, resp, params)
                return
        raise exception.NotFound

    return respond


def _handle(
    route: Route,
    backend: Backend,
    policy: Policy,
    req: falcon.Request,
    resp: falcon.Response,
    params: dict[str, str],
) -> None:
    context: Context = req.context.caller
    request = ApiRequest(
        backend,
        policy,
        context,
        req.context.version,
        Links(get_base_url(req), req.context.project, req.context.root),
        route.rule,
    )
    request.is_legacy = req.context.is_legacy
    request.has_project = req.context.has_project
    if route.rule is not None and not route.is_server_route:
        request.require(route.rule)
    request.raw_query = req.params
    # Only a GET is strict about parameters that nothing reads.
    if route.method == 'GET' or route.query.params:
        request.query = route.query.parse(req.params, request.version)
    if route.body is not None:
        request.body = read_json_body(req)
        request.validate_body(route.body)
    result = route.handler(request, **params)
    status = request.status or route.status
    resp.status = falcon.code_to_http_status(status)
    if request.location is not None:
        resp.location = request.location
    if result is not None:
        resp.data = orjson.dumps(result)
    if status != _NO_CONTENT:
        resp.content_type = _JSON


def get_base_url(req: falcon.Request) -> str:
    """Return the base URL of the application, without a trailing slash."""
    endpoint: str | None = CONF.api.compute_link_prefix
    return (endpoint or req.prefix).rstrip('/')


def read_json_body(req: falcon.Request) -> Any:
    """Return the JSON document in a body.

    InvalidInput for malformed JSON and for NUL characters, which not every
    database can store; TooLarge above ``[api] max_request_body_size``; 415 for
    another media type.
    """
    media_type = (req.content_type or _JSON).partition(';')[0].strip().lower()
    if media_type != _JSON:
        raise falcon.HTTPUnsupportedMediaType(
            description=f'The Content-Type must be {_JSON}.'
        )
    content = json_bodies.read_body(req)
    if not content:
        raise exception.InvalidInput(
            'The request has no body; send a JSON document.'
        )
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise exception.InvalidInput(
            f'Malformed request body: it is not JSON in UTF-8 ({error}).'
        ) from error
    if b'\\u0000' in content and _has_nul(found):
        raise exception.InvalidInput(
            'Malformed request body: it contains NUL characters.'
        )
    return found


def _has_nul(value: object) -> bool:
    if isinstance(value, str):
        return '\x00' in value
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(value[key]) for key in value)
    return isinstance(value, list) and any(map(_has_nul, value))
