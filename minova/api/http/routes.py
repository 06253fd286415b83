# SPDX-License-Identifier: Apache-2.0
"""Endpoints: each is one row, and all are answered in the same way.

An answer goes: which row holds at this microversion (404 if none does); may
the caller (for a server, its handler asks once it knows whose it is); are
query and body what they may be; then the handler.
"""

from collections.abc import Callable
from collections.abc import Iterable
import dataclasses
from typing import Any
from typing import Final

import falcon
import orjson

from minova import exception
from minova.api.backend import Backend
from minova.api.http import microversion
from minova.api.http.request import ApiRequest
from minova.api.schemas import queries
from minova.api.schemas.bodies import BodySchema
from minova.api.views.links import Links
from minova.conf import CONF
from minova.context import Context
from minova.policy import Policy

#: Returns the document of the reply, None for a reply without one.
Handler = Callable[..., Any]

_JSON: Final = 'application/json'
_NO_CONTENT: Final = 204


@dataclasses.dataclass(frozen=True)
class Route:
    """One endpoint, from one microversion to another."""

    method: str
    path: str
    handler: Handler
    #: The policy rule; None for what everybody may see.
    rule: str | None
    status: int = 200
    query: queries.QuerySchema = queries.NO_PARAMS
    body: BodySchema | None = None
    since: int = microversion.MINIMUM
    until: int = microversion.MAXIMUM

    @property
    def is_server_route(self) -> bool:
        """Whether the rule is asked once it is known whose the server is."""
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
        Links(get_base_url(req), req.context.project),
        route.rule,
    )
    if route.rule is not None and not route.is_server_route:
        request.require(route.rule)
    request.raw_query = req.params
    request.query = route.query.parse(req.params, request.version)
    if route.body is not None:
        request.body = read_json_body(req)
        route.body.validate(request.body, request.version)
    result = route.handler(request, **params)
    status = request.status or route.status
    resp.status = falcon.code_to_http_status(status)
    for name, value in request.headers.items():
        resp.set_header(name, value)
    if result is not None:
        resp.data = orjson.dumps(result)
    if status != _NO_CONTENT:
        resp.content_type = _JSON


def get_base_url(req: falcon.Request) -> str:
    """Return the URL by which clients reach the application, no slash last."""
    endpoint: str | None = CONF.api.compute_link_prefix
    return (endpoint or req.prefix).rstrip('/')


def read_json_body(req: falcon.Request) -> Any:
    """Return the JSON document in a body.

    InvalidInput if it is none, TooLarge above ``[api]
    max_request_body_size``, 415 for another media type. NUL characters are
    refused: not every database can store them.
    """
    media_type = (req.content_type or _JSON).partition(';')[0].strip().lower()
    if media_type != _JSON:
        raise falcon.HTTPUnsupportedMediaType(
            description=f'The Content-Type must be {_JSON}.'
        )
    content = _read_body(req)
    if not content:
        raise exception.InvalidInput(
            'The request has no body; it must be a JSON document.'
        )
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise exception.InvalidInput(
            f'Malformed request body: it is not JSON in UTF-8 ({error}).'
        ) from error
    if b'\\u0000' in content and _has_nul(found):
        raise exception.InvalidInput(
            'Malformed request body: it must not hold NUL characters.'
        )
    return found


def _read_body(req: falcon.Request) -> bytes:
    limit = CONF.api.max_request_body_size
    if (req.content_length or 0) > limit:
        raise exception.TooLarge(limit=limit)
    # A body without a length can be read where the server ends it for us.
    ended = req.env.get('wsgi.input_terminated')
    stream = req.stream if ended else req.bounded_stream
    content: bytes = stream.read(limit + 1)
    if len(content) > limit:
        raise exception.TooLarge(limit=limit)
    return content


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return '\x00' in value
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(value[key]) for key in value)
    return isinstance(value, list) and any(map(_has_nul, value))
