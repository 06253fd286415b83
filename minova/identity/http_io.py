# SPDX-License-Identifier: Apache-2.0
"""Reading and validation of requests to the embedded services.

Every malformed request ends here, or in the schema that validates it, as
InvalidInput with a text that names the field. The text never quotes a value:
it may be a password.
"""

from collections.abc import Mapping
from http import HTTPStatus
import json
from typing import Any
from typing import cast
from typing import Protocol

import falcon
import jsonschema

from minova import conf
from minova import exception
from minova import json_bodies

#: The document of a reply, or an object in it.
Document = dict[str, object]


class Caller(Protocol):
    """The caller, as the authentication middleware sets it."""

    @property
    def user_id(self) -> str:
        """The user."""

    @property
    def project_id(self) -> str | None:
        """The project of the token; None if it is unscoped."""

    @property
    def is_admin(self) -> bool:
        """Whether policy regards the caller as an administrator."""


def get_caller(req: falcon.Request) -> Caller:
    """Return the caller, or raise Unauthorized."""
    found = getattr(req.context, 'caller', None)
    if found is None:
        raise exception.Unauthorized
    return cast(Caller, found)


def require(req: falcon.Request, rule: str, **target: str) -> Caller:
    """Return the caller if policy allows the rule, or raise Forbidden.

    ``target`` has project_id, user_id and visibility of what the rule is
    about; by default the caller's own. Unauthorized without a caller.
    """
    caller = get_caller(req)
    req.context.authorize(rule, **target)
    return caller


def is_allowed(req: falcon.Request, rule: str, **target: str) -> bool:
    """Return whether policy allows the rule, with a target as above."""
    get_caller(req)
    return bool(req.context.is_allowed(rule, **target))


def get_base_url(req: falcon.Request) -> str:
    """Return the base URL of the application, without a trailing slash."""
    return (conf.CONF.api.compute_link_prefix or req.prefix).rstrip('/')


def status_phrase(status: int) -> str:
    """Return the HTTP phrase of a status, or the number if it is unknown."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return str(status)


def read_json(
    req: falcon.Request, media_type: str = 'application/json'
) -> Any:
    """Return the JSON document in the body of a request.

    Raises InvalidInput for malformed JSON or another media type, TooLarge
    above ``[api] max_request_body_size``.
    """
    given = (req.content_type or '').partition(';')[0].strip().lower()
    if given != media_type:
        raise exception.InvalidInput(
            reason=f'the Content-Type must be {media_type}.'
        )
    content = json_bodies.read_body(req)
    try:
        found = json.loads(content)
        # JSON can contain a lone surrogate, but a reply cannot.
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise exception.InvalidInput(
            reason='the body is not a JSON document in UTF-8.'
        ) from error
    return found


def matches(
    row: Mapping[str, object], params: Mapping[str, str | list[str]]
) -> bool:
    """Return whether each parameter that names a field has its value.

    Of a repeated parameter one value is enough. A list has a value if one of
    its items has; an item that is an object has ``name=value``.
    """
    return all(
        any(
            _equals(row[field], one)
            for one in ([wanted] if isinstance(wanted, str) else wanted)
        )
        for field, wanted in params.items()
        if field in row
    )


def _equals(value: object, wanted: str) -> bool:
    if isinstance(value, bool):
        wanted = wanted.lower()
        return str(value).lower() == {'1': 'true', '0': 'false'}.get(
            wanted, wanted
        )
    if isinstance(value, list):
        return any(_equals(item, wanted) for item in value)
    if isinstance(value, dict):
        name, _, text = wanted.partition('=')
        return name in value and _equals(value[name], text)
    return value is not None and str(value) == wanted


def validate(validator: jsonschema.Draft202012Validator, content: Any) -> None:
    """Raise InvalidInput, with the field, unless the schema matches."""
    for error in validator.iter_errors(content):
        path = '/'.join(str(part)[:64] for part in error.absolute_path)
        requirement = json_bodies.describe_requirement(error)
        raise exception.InvalidInput(
            reason=f'{path or "the body"} {requirement}.'
        )
