# SPDX-License-Identifier: Apache-2.0
"""The schemas of host aggregates."""

from typing import Final

from minova.api.schemas import types
from minova.api.schemas.bodies import BodySchema
from minova.api.schemas.bodies import object_schema
from minova.api.schemas.bodies import single_field
from minova.api.schemas.types import Json

#: ":" separates the zone from the host in a request for a server.
_ZONE: Final[Json] = {
    **types.NAME,
    'pattern': r'^(?![\s])[^:\x00-\x1f\x7f\u2028\u2029]*(?<!\s)\Z',
    'explain': '1 to 255 printable characters without ":" and without blanks '
    'at the ends',
}
_ZONE_OR_NULL: Final[Json] = {
    **_ZONE,
    'type': ['string', 'null'],
    'explain': f'{_ZONE["explain"]}, or null',
}
_AGGREGATE: Final[Json] = {
    'name': types.NAME,
    'availability_zone': _ZONE_OR_NULL,
}
_HOST: Final = object_schema({'host': types.HOST}, ['host'])
_METADATA: Final[Json] = {
    'type': 'object',
    'properties': {'availability_zone': _ZONE_OR_NULL},
    'patternProperties': {
        r'^[a-zA-Z0-9_:. -]{1,255}\Z': {
            'type': ['string', 'null'],
            'maxLength': 255,
        }
    },
    'additionalProperties': False,
}

CREATE: Final = BodySchema(
    {1: single_field('aggregate', object_schema(_AGGREGATE, ['name']))}
)
UPDATE: Final = BodySchema(
    {1: single_field('aggregate', object_schema(_AGGREGATE, minProperties=1))}
)
ADD_HOST: Final = BodySchema({1: single_field('add_host', _HOST)})
REMOVE_HOST: Final = BodySchema({1: single_field('remove_host', _HOST)})
SET_METADATA: Final = BodySchema(
    {
        1: single_field(
            'set_metadata',
            object_schema({'metadata': _METADATA}, ['metadata']),
        )
    }
)
