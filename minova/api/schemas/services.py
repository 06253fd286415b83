# SPDX-License-Identifier: Apache-2.0
"""The schemas of compute services."""

from typing import Final

from minova.api.schemas import types
from minova.api.schemas.bodies import BodySchema
from minova.api.schemas.bodies import object_schema
from minova.api.schemas.types import Json

_REASON: Final[Json] = {
    'type': 'string',
    'minLength': 1,
    'maxLength': 255,
    'pattern': r'\S',
    'explain': '1 to 255 characters that are not all blank',
}
_SERVICE_KEY: Final[Json] = {'host': types.HOST, 'binary': types.NAME}

ENABLE: Final = BodySchema({1: object_schema(_SERVICE_KEY, _SERVICE_KEY)})
DISABLE_LOG_REASON: Final = BodySchema(
    {
        1: object_schema(
            {**_SERVICE_KEY, 'disabled_reason': _REASON},
            [*_SERVICE_KEY, 'disabled_reason'],
        )
    }
)
FORCE_DOWN: Final = BodySchema(
    {
        1: object_schema(
            {**_SERVICE_KEY, 'forced_down': types.BOOLEAN},
            [*_SERVICE_KEY, 'forced_down'],
        )
    }
)
UPDATE: Final = BodySchema(
    {
        1: object_schema(
            {
                'status': {'type': 'string', 'enum': ['enabled', 'disabled']},
                'disabled_reason': _REASON,
                'forced_down': types.BOOLEAN,
            },
            minProperties=1,
        )
    }
)

_ENABLE_WORD: Final[Json] = {
    'type': 'string',
    'maxLength': 32,
    'pattern': r'^\s*([Ee][Nn]|[Dd][Ii][Ss])[Aa][Bb][Ll][Ee]\s*\Z',
    'explain': '"enable" or "disable"',
}
#: The change of a host by os-hosts.
UPDATE_HOST: Final = BodySchema(
    {
        1: {
            **object_schema(
                {'status': _ENABLE_WORD, 'maintenance_mode': _ENABLE_WORD}
            ),
            'minProperties': 1,
            'explain': 'an object with status',
        }
    }
)
