# SPDX-License-Identifier: Apache-2.0
"""Bodies: a JSON Schema for each range of microversions, compiled once.

An invalid body is refused with a text that names the field and the valid
values. The text never quotes the value: it may be a password.
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
import ipaddress
import re
from typing import Any
from typing import Final

import jsonschema

from minova import exception
from minova import json_bodies
from minova.api.schemas.types import Json


def _is_integer(checker: jsonschema.TypeChecker, value: object) -> bool:
    # JSON Schema accepts 1.0 as an integer; a database may not.
    return isinstance(value, int) and not isinstance(value, bool)


_Validator: Final[Any] = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        'integer', _is_integer
    ),
)


_formats: Final = jsonschema.FormatChecker(formats=())


@_formats.checks('ipv4', raises=ValueError)
def _is_ipv4(value: object) -> bool:
    return value == '' or bool(ipaddress.IPv4Address(value))


@_formats.checks('ipv6', raises=ValueError)
def _is_ipv6(value: object) -> bool:
    return value == '' or bool(ipaddress.IPv6Address(value))


def object_schema(
    properties: Mapping[str, Json],
    required: Iterable[str] = (),
    **more: object,
) -> Json:
    """Return the schema of an object with exactly these fields."""
    return {
        'type': 'object',
        'properties': dict(properties),
        'required': list(required),
        'additionalProperties': False,
        **more,
    }


def single_field(name: str, schema: Json) -> Json:
    """Return the schema of an object with the single field ``name``."""
    return object_schema({name: schema}, [name])


class BodySchema:
    """The schemas of a body, by microversion."""

    def __init__(self, schemas: Mapping[int, Json]) -> None:
        """Take schemas by the first microversion of each; one is for 2.1."""
        newest_first = sorted(schemas, reverse=True)
        self._validators: list[tuple[int, jsonschema.protocols.Validator]] = [
            (since, _Validator(schemas[since], format_checker=_formats))
            for since in newest_first
        ]
        self.schemas = dict(schemas)

    def validate(
        self, content: Any, version: int, drops_unknown: bool = False
    ) -> None:
        """Raise InvalidInput unless ``content`` matches the schema.

        With ``drops_unknown`` unknown fields are removed from ``content``.
        """
        for error in list(self._validator(version).iter_errors(content)):
            if drops_unknown and error.validator == 'additionalProperties':
                assert isinstance(error.instance, dict)
                for name in _unknown_fields(error):
                    del error.instance[name]
                continue
            raise exception.InvalidInput(self._error_text(error, version))

    def _validator(self, version: int) -> jsonschema.protocols.Validator:
        for since, validator in self._validators:
            if version >= since:
                return validator
        raise LookupError(f'no schema for 2.{version}')

    def _error_text(
        self, error: jsonschema.ValidationError, version: int
    ) -> str:
        while error.context:
            error = error.context[0]
        path = [str(part)[:64] for part in error.absolute_path]
        text = f'{describe_path(path)}: {_describe_requirement(error)}.'
        if error.validator == 'additionalProperties':
            later = self._find_later_version(error, version)
            if later is not None:
                text += f' The field exists since microversion 2.{later}.'
        return text

    def _find_later_version(
        self, error: jsonschema.ValidationError, version: int
    ) -> int | None:
        """Return the first later version that knows the unknown field."""
        name = _unknown_field(error)
        for since in sorted(self.schemas):
            if since <= version:
                continue
            schema: Any = self.schemas[since]
            for step in error.absolute_path:
                if isinstance(step, str):
                    schema = schema.get('properties', {}).get(step, {})
                else:
                    schema = schema.get('items', {})
            if name in schema.get('properties', {}):
                return since
        return None


#: Any body: the schema depends on the action that the body names.
ANY: Final = BodySchema({1: {}})


def get_action_name(body: Any, actions: Collection[str]) -> str:
    """Return the single key of a body; InvalidInput for an unknown action."""
    known = ', '.join(sorted(actions))
    if not isinstance(body, dict) or len(body) != 1:
        raise exception.InvalidInput(
            'Malformed request body: it must be an object with one key, the '
            f'action; the actions are {known}.'
        )
    (name,) = body
    if name not in actions:
        raise exception.InvalidInput(
            f'There is no such action: {name[:64]}. The actions are {known}.'
        )
    return str(name)


def describe_path(path: list[str]) -> str:
    """Return the prefix of an error text for the field at ``path``."""
    if not path:
        return 'Invalid request body'
    return f'Invalid input for field/attribute {".".join(path)}'


def _unknown_field(error: jsonschema.ValidationError) -> str:
    return _unknown_fields(error)[0]


def _unknown_fields(error: jsonschema.ValidationError) -> list[str]:
    schema: Any = error.schema
    known = schema.get('properties', {})
    patterns = schema.get('patternProperties', {})
    assert isinstance(error.instance, dict)
    return [
        str(name)
        for name in error.instance
        if name not in known
        and not any(re.search(pattern, name) for pattern in patterns)
    ]


def _describe_requirement(error: jsonschema.ValidationError) -> str:
    """Return what the schema requires, as the end of a sentence."""
    schema: Any = error.schema
    if 'explain' in schema:
        return f'must be {schema["explain"]}'
    if error.validator == 'additionalProperties':
        return _describe_unknown_field(error)
    return json_bodies.describe_requirement(error)


def _describe_unknown_field(error: jsonschema.ValidationError) -> str:
    schema: Any = error.schema
    name = _unknown_field(error)
    known = ', '.join(sorted(schema.get('properties', {})))
    if known:
        return f'there is no field {name[:64]!r} here; the fields are {known}'
    return (
        f'{name[:64]!r} is not a valid name; it must match '
        f'{", ".join(schema.get("patternProperties", {}))}'
    )
