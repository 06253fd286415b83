# SPDX-License-Identifier: Apache-2.0
"""What the two companion services read from a request, and refuse in it.

Everything a client can send that is no sense ends here or in the schema it is
checked against, as InvalidInput with a text that names the place. The text
never quotes a value: it may be a password.
"""

from http import HTTPStatus
import json
from typing import Any
from typing import cast
from typing import Protocol

import falcon
import jsonschema

from minova import conf
from minova import exception


class Caller(Protocol):
    """Who is asking, as the application's auth middleware found out."""

    @property
    def user_id(self) -> str:
        """The user."""

    @property
    def project_id(self) -> str | None:
        """The project the token is for; None if it is unscoped."""

    @property
    def is_admin(self) -> bool:
        """Whether policy counts the caller as an administrator."""


def caller(req: falcon.Request) -> Caller:
    """Return who is asking; Unauthorized if the middleware found nobody."""
    found = getattr(req.context, 'caller', None)
    if found is None:
        raise exception.Unauthorized
    return cast(Caller, found)


def base_url(req: falcon.Request) -> str:
    """Return the URL that clients reach the application by, no slash last."""
    return (conf.CONF.api.endpoint or req.prefix).rstrip('/')


def title(status: int) -> str:
    """Return what HTTP calls a status; the number for one it does not know."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return str(status)


def document(req: falcon.Request, media_type: str = 'application/json') -> Any:
    """Return the JSON document in the body of a request.

    InvalidInput if it is none or of another media type, TooLarge if it is
    larger than ``[api] max_body_bytes``.
    """
    given = (req.content_type or '').partition(';')[0].strip().lower()
    if given != media_type:
        raise exception.InvalidInput(
            reason=f'the Content-Type must be {media_type}.'
        )
    limit = conf.CONF.api.max_body_bytes
    content = body(req).read(limit + 1)
    if len(content) > limit:
        raise exception.TooLarge(limit=limit)
    try:
        found = json.loads(content)
        # A lone surrogate can be written in JSON but never be sent back.
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise exception.InvalidInput(
            reason='the body is not a JSON document in UTF-8.'
        ) from error
    return found


def body(req: falcon.Request) -> Any:
    """Return the body as a file that ends where the body ends."""
    if req.env.get('wsgi.input_terminated'):
        # Bodies without a length can be read here and only here.
        return req.stream
    return req.bounded_stream


def check(validator: jsonschema.Draft202012Validator, content: Any) -> None:
    """Raise InvalidInput, naming the place, unless the schema is met."""
    for error in validator.iter_errors(content):
        place = '/'.join(str(part)[:64] for part in error.absolute_path)
        raise exception.InvalidInput(
            reason=f'{place or "the body"} {_demand(error)}.'
        )


def _demand(error: jsonschema.ValidationError) -> str:
    """Say what a schema asks for without quoting what came instead."""
    wanted: Any = error.validator_value
    instance: Any = error.instance
    match error.validator:
        case 'required':
            missing = [name for name in wanted if name not in instance]
            return f'lacks {", ".join(missing)}'
        case 'type':
            names = [wanted] if isinstance(wanted, str) else wanted
            return f'must be of type {" or ".join(names)}'
        case 'enum':
            named = ', '.join('null' if one is None else one for one in wanted)
            return f'must be one of {named}'
        case 'minimum':
            return f'must not be less than {wanted}'
        case 'maximum':
            return f'must not be more than {wanted}'
        case 'maxLength':
            return f'must not be longer than {wanted} characters'
        case 'minLength' | 'minItems' | 'minProperties':
            return 'must not be empty'
        case 'maxItems' | 'maxProperties':
            return f'must not have more than {wanted} entries'
        case 'pattern' | 'format':
            return f'must match {wanted}'
    return f'does not meet "{error.validator}" of the schema'
