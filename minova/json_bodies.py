# SPDX-License-Identifier: Apache-2.0
"""JSON bodies of HTTP requests: reading within the limit, and error texts.

For the Compute API and the embedded services. No error text quotes a value:
it may be a password.
"""

from typing import Any
from typing import Protocol

import falcon
import jsonschema

from minova import exception
from minova.conf import CONF


class ReadableStream(Protocol):
    """The body of a request."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, none at the end."""


def body_stream(req: falcon.Request) -> ReadableStream:
    """Return the body as a file that ends where the body ends."""
    if req.env.get('wsgi.input_terminated'):
        # The WSGI server ends a body without a length only with this flag.
        return req.stream
    return req.bounded_stream


def read_body(req: falcon.Request) -> bytes:
    """Return a body; TooLarge above ``[api] max_request_body_size``."""
    limit: int = CONF.api.max_request_body_size
    if (req.content_length or 0) > limit:
        raise exception.TooLarge(limit=limit)
    content = body_stream(req).read(limit + 1)
    if len(content) > limit:
        raise exception.TooLarge(limit=limit)
    return content


def describe_requirement(error: jsonschema.ValidationError) -> str:
    """Return what the schema requires, as the end of a sentence."""
    expected: Any = error.validator_value
    instance: Any = error.instance
    match error.validator:
        case 'required':
            missing = [name for name in expected if name not in instance]
            return f'lacks {", ".join(missing)}'
        case 'type':
            names = [expected] if isinstance(expected, str) else expected
            return f'must be of type {" or ".join(names)}'
        case 'enum' | 'const':
            values = expected if isinstance(expected, list) else [expected]
            return f'must be one of {", ".join(map(_to_text, values))}'
        case 'minimum' | 'exclusiveMinimum':
            than = 'not be less' if error.validator == 'minimum' else 'be more'
            return f'must {than} than {expected}'
        case 'maximum':
            return f'must not be more than {expected}'
        case 'maxLength':
            return f'must not be longer than {expected} characters'
        case 'minLength' | 'minItems' | 'minProperties':
            return _describe_minimum_length(error)
        case 'maxItems' | 'maxProperties':
            return f'must not have more than {expected} entries'
        case 'uniqueItems':
            return 'must not contain duplicates'
        case 'pattern' | 'format':
            return f'must match {expected}'
    return f'does not match "{error.validator}" of the schema'


def _describe_minimum_length(error: jsonschema.ValidationError) -> str:
    expected: Any = error.validator_value
    if expected == 1:
        return 'must not be empty'
    unit = 'characters' if error.validator == 'minLength' else 'entries'
    return f'must have at least {expected} {unit}'


def _to_text(value: object) -> str:
    if value is None:
        return 'null'
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
