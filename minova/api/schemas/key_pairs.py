# SPDX-License-Identifier: Apache-2.0
"""What a key pair may be made with."""

from typing import Final

from minova.api.schemas.bodies import Body
from minova.api.schemas.bodies import fields
from minova.api.schemas.bodies import one
from minova.api.schemas.types import Json

#: What fits the column in any encoding.
_LONGEST: Final = 16000


def _name(more: str, words: str) -> Json:
    return {
        'type': 'string',
        'minLength': 1,
        'maxLength': 255,
        'pattern': rf'^(?! )[a-zA-Z0-9{more}_ -]+(?<! )\Z',
        'explain': f'1 to 255 letters, digits, {words}"-", "_" and blanks, '
        'no blank at an end',
    }


def _creations() -> dict[int, Json]:
    """Return the schemas, each a change of the one before."""
    pair: Json = {
        'name': _name('', ''),
        'public_key': {
            'type': 'string',
            'minLength': 1,
            'maxLength': _LONGEST,
        },
    }
    found = {1: one('keypair', fields(pair, ['name']))}
    pair |= {'type': {'type': 'string', 'enum': ['ssh', 'x509']}}
    found[2] = one('keypair', fields(pair, ['name']))
    pair |= {
        'user_id': {'type': 'string', 'minLength': 1, 'maxLength': 255},
    }
    found[10] = one('keypair', fields(pair, ['name']))
    pair |= {'name': _name('@.', '"@", ".", ')}
    found[92] = one('keypair', fields(pair, ['name', 'public_key']))
    return found


CREATE: Final = Body(_creations())
