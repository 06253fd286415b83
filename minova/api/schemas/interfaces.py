# SPDX-License-Identifier: Apache-2.0
"""The schema of the attachment of an interface."""

from typing import Final

from minova.api.schemas import types
from minova.api.schemas.bodies import BodySchema
from minova.api.schemas.bodies import object_schema
from minova.api.schemas.bodies import single_field
from minova.api.schemas.types import Json

_FIXED_IP: Final = object_schema(
    {'ip_address': types.IP_ADDRESS}, ['ip_address']
)


def _attachment(**more: Json) -> Json:
    return single_field(
        'interfaceAttachment',
        object_schema(
            {
                'net_id': types.UUID,
                'port_id': types.UUID,
                'fixed_ips': {
                    'type': 'array',
                    'items': _FIXED_IP,
                    'minItems': 1,
                    'maxItems': 1,
                },
                **more,
            }
        ),
    )


ATTACH: Final = BodySchema({1: _attachment(), 49: _attachment(tag=types.TAG)})
