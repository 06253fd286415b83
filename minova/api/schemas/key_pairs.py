# SPDX-License-Identifier: Apache-2.0
"""The schemas of key pairs."""

from typing import Final

from minova.api.schemas.bodies import BodySchema
from minova.api.schemas.bodies import object_schema
from minova.api.schemas.bodies import single_field
from minova.api.schemas.types import Json

#: The size of the column in any encoding.
_MAX_KEY_LENGTH: Final = 16000


_NAME: Final[Json] = {
    'type': 'string',
    'minLength': 1,
    'maxLength': 255,
    'pattern': r'^(?! )[a-zA-Z0-9_ -]+(?<! )\Z',
    'explain': '1 to 255 letters, digits, "-", "_" and blanks, no blank at '
    'an end',
}


_NAME_WITH_DOMAIN: Final[Json] = {
    **_NAME,
    'pattern': r'^(?! )[a-zA-Z0-9_ @.-]+(?<! )\Z',
    'explain': '1 to 255 letters, digits, "-", "_", "@", "." and blanks, no '
    'blank at an end',
}


def _create_schemas() -> dict[int, Json]:
    """Return the schemas by microversion, each derived from the last."""
    pair: Json = {
        'name': _NAME,
        'public_key': {
            'type': 'string',
            'minLength': 1,
            'maxLength': _MAX_KEY_LENGTH,
        },
    }
    found = {1: single_field('keypair', object_schema(pair, ['name']))}
    pair |= {'type': {'type': 'string', 'enum': ['ssh', 'x509']}}
    found[2] = single_field('keypair', object_schema(pair, ['name']))
    pair |= {
        'user_id': {'type': 'string', 'minLength': 1, 'maxLength': 255},
    }
    found[10] = single_field('keypair', object_schema(pair, ['name']))
    pair |= {'name': _NAME_WITH_DOMAIN}
    found[92] = single_field(
        'keypair', object_schema(pair, ['name', 'public_key'])
    )
    return found


CREATE: Final = BodySchema(_create_schemas())
