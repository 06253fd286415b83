# SPDX-License-Identifier: Apache-2.0
"""The bodies of requests that change accounts."""

from typing import Any
from typing import Final

import jsonschema

from minova import exception
from minova.identity import http_io

_TEXT: Final = {'type': ['string', 'null'], 'maxLength': 4096}
_ID: Final = {'type': ['string', 'null'], 'maxLength': 64}
_PASSWORD: Final = {
    'type': ['string', 'null'],
    'minLength': 1,
    'maxLength': 4096,
}
#: An attribute that a client adds.
_EXTRA: Final = {
    'type': ['string', 'integer', 'boolean', 'null'],
    'maxLength': 4096,
    'minimum': -(1 << 63),
    'maximum': (1 << 63) - 1,
}
#: Options of Keystone, such as ``immutable``, have no effect here.
_OPTIONS: Final = {'type': 'object', 'maxProperties': 0}


def _name(length: int) -> dict[str, object]:
    return {
        'type': 'string',
        'minLength': 1,
        'maxLength': length,
        'pattern': r'\S',
    }


def _validator(
    singular: str,
    properties: dict[str, Any],
    required: tuple[str, ...] = (),
    extra: object = False,
) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(
        {
            'type': 'object',
            'required': [singular],
            'properties': {
                singular: {
                    'type': 'object',
                    'required': list(required),
                    'properties': properties,
                    'additionalProperties': extra,
                    'maxProperties': 64,
                }
            },
        }
    )


_PROJECT: Final = {
    'id': _ID,
    'name': _name(64),
    'domain_id': _ID,
    'description': _TEXT,
    'enabled': {'type': 'boolean'},
    'parent_id': _ID,
    'is_domain': {'const': False},
    'tags': {
        'type': 'array',
        'maxItems': 80,
        'uniqueItems': True,
        'items': {**_name(255), 'pattern': '^[^,/]+$'},
    },
    'options': _OPTIONS,
}
_USER: Final = {
    'id': _ID,
    'name': _name(255),
    'domain_id': _ID,
    'enabled': {'type': 'boolean'},
    'password': _PASSWORD,
    'default_project_id': _ID,
    'options': _OPTIONS,
}
_ROLE: Final = {
    'id': _ID,
    'name': _name(255),
    'domain_id': {'type': 'null'},
    'description': _TEXT,
    'options': _OPTIONS,
}
_CREDENTIAL: Final = {
    'name': _name(255),
    'description': _TEXT,
    'secret': _PASSWORD,
    'expires_at': {'type': ['string', 'null'], 'maxLength': 64},
    'project_id': _ID,
    'roles': {
        'type': 'array',
        'maxItems': 64,
        'items': {
            'type': 'object',
            'properties': {'id': _name(64), 'name': _name(255)},
            'anyOf': [{'required': ['id']}, {'required': ['name']}],
        },
    },
    'unrestricted': {'type': ['boolean', 'null']},
    'access_rules': {'type': ['array', 'null'], 'maxItems': 0},
}

_CREATE: Final = {
    'project': _validator('project', _PROJECT, ('name',), _EXTRA),
    'user': _validator('user', _USER, ('name',), _EXTRA),
    'role': _validator('role', _ROLE, ('name',)),
    'application_credential': _validator(
        'application_credential', _CREDENTIAL, ('name',)
    ),
}
_UPDATE: Final = {
    'project': _validator('project', _PROJECT, extra=_EXTRA),
    'user': _validator('user', _USER, extra=_EXTRA),
    'role': _validator('role', _ROLE),
}
_NEW_PASSWORD: Final = _validator(
    'user',
    {
        'password': {**_PASSWORD, 'type': 'string'},
        'original_password': {'type': 'string', 'maxLength': 4096},
    },
    ('password', 'original_password'),
)


def read_new(singular: str, body: Any) -> dict[str, Any]:
    """Return the values of a new row; raise InvalidInput."""
    http_io.validate(_CREATE[singular], body)
    values: dict[str, Any] = body[singular]
    _reject_secrets(values)
    values.pop('id', None)
    return values


def read_changed(singular: str, row_id: str, body: Any) -> dict[str, Any]:
    """Return the changed values of a row; raise InvalidInput."""
    http_io.validate(_UPDATE[singular], body)
    values: dict[str, Any] = body[singular]
    _reject_secrets(values)
    if values.pop('id', row_id) != row_id:
        raise exception.InvalidInput(reason='id cannot be changed.')
    return values


def _reject_secrets(values: dict[str, Any]) -> None:
    """Raise InvalidInput for an attribute of the client that is a password.

    Other attributes are stored and shown as they are.
    """
    for name in values:
        if name != 'password' and 'password' in name.lower():
            raise exception.InvalidInput(
                reason=f'{name[:64]} is not an attribute, which others could '
                'read; POST /users/ID/password changes the own password.'
            )


def read_new_password(body: Any) -> tuple[str, str]:
    """Return the old and the new password; raise InvalidInput."""
    http_io.validate(_NEW_PASSWORD, body)
    values = body['user']
    return values['original_password'], values['password']
