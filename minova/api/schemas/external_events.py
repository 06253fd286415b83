# SPDX-License-Identifier: Apache-2.0
"""The schema of the events that other services report."""

from typing import Final

from minova.api.http import microversion
from minova.api.schemas import types
from minova.api.schemas.bodies import BodySchema
from minova.api.schemas.bodies import object_schema
from minova.api.schemas.types import Json

#: The first microversion of each event.
_SINCE: Final = {
    'network-changed': 1,
    'network-vif-plugged': 1,
    'network-vif-unplugged': 1,
    'network-vif-deleted': 1,
    'volume-extended': 51,
    'power-update': 76,
    'accelerator-request-bound': 82,
    'volume-reimaged': 93,
}


def _events(version: int) -> Json:
    names = [name for name, since in _SINCE.items() if since <= version]
    event = object_schema(
        {
            'name': {'type': 'string', 'enum': names},
            'server_uuid': types.UUID,
            'status': {
                'type': 'string',
                'enum': ['failed', 'completed', 'in-progress'],
            },
            'tag': {'type': 'string', 'maxLength': 255},
        },
        ['server_uuid', 'name'],
    )
    return object_schema(
        {
            'events': {
                'type': 'array',
                'items': event,
                'minItems': 1,
                'maxItems': 1000,
            }
        },
        ['events'],
    )


CREATE: Final = BodySchema(
    {
        since: _events(since)
        for since in sorted(set(_SINCE.values()))
        if since <= microversion.MAXIMUM
    }
)
