# SPDX-License-Identifier: Apache-2.0
"""The schemas of floating IPs, of which there are none."""

from typing import Final

from minova.api.schemas import types
from minova.api.schemas.bodies import BodySchema
from minova.api.schemas.bodies import object_schema
from minova.api.schemas.bodies import single_field
from minova.api.schemas.types import Json

_POOL: Final[Json] = {'type': ['string', 'null'], 'maxLength': 255}
CREATE: Final = BodySchema(
    {1: {**object_schema({'pool': _POOL}), 'type': ['object', 'null']}}
)
ADD: Final = BodySchema(
    {
        1: single_field(
            'addFloatingIp',
            object_schema(
                {
                    'address': types.IP_ADDRESS,
                    'fixed_address': types.IP_ADDRESS,
                },
                ['address'],
            ),
        )
    }
)
REMOVE: Final = BodySchema(
    {
        1: single_field(
            'removeFloatingIp',
            object_schema({'address': types.IP_ADDRESS}, ['address']),
        )
    }
)
