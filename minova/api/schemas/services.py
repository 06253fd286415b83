# SPDX-License-Identifier: Apache-2.0
"""What a service may be changed with."""

from typing import Final

from minova.api.schemas import types
from minova.api.schemas.bodies import Body
from minova.api.schemas.bodies import fields
from minova.api.schemas.types import Json

_REASON: Final[Json] = {
    'type': 'string',
    'minLength': 1,
    'maxLength': 255,
    'pattern': r'\S',
    'explain': '1 to 255 characters that are not all blank',
}
_WHICH: Final[Json] = {'host': types.HOST, 'binary': types.NAME}

ENABLE: Final = Body({1: fields(_WHICH, _WHICH)})
DISABLE_LOG_REASON: Final = Body(
    {
        1: fields(
            {**_WHICH, 'disabled_reason': _REASON},
            [*_WHICH, 'disabled_reason'],
        )
    }
)
FORCE_DOWN: Final = Body(
    {
        1: fields(
            {**_WHICH, 'forced_down': types.BOOLEAN}, [*_WHICH, 'forced_down']
        )
    }
)
UPDATE: Final = Body(
    {
        1: fields(
            {
                'status': {'type': 'string', 'enum': ['enabled', 'disabled']},
                'disabled_reason': _REASON,
                'forced_down': types.BOOLEAN,
            },
            minProperties=1,
        )
    }
)
