# SPDX-License-Identifier: Apache-2.0
"""The schema of the action rebuild."""

from typing import Final

from minova.api.schemas import servers
from minova.api.schemas import types
from minova.api.schemas.bodies import BodySchema
from minova.api.schemas.bodies import object_schema
from minova.api.schemas.bodies import single_field
from minova.api.schemas.types import Json

_PROPERTIES: Final[Json] = {
    'imageRef': types.IMAGE_REF,
    'name': types.NAME,
    'adminPass': servers.TEXT,
    'metadata': types.METADATA,
    'preserve_ephemeral': types.BOOLEAN,
    'OS-DCF:diskConfig': types.DISK_CONFIG,
    'accessIPv4': types.IPV4,
    'accessIPv6': types.IPV6,
    'personality': servers.PERSONALITY,
}


def _rebuild(properties: Json) -> Json:
    return single_field('rebuild', object_schema(properties, ['imageRef']))


def _rebuild_schemas() -> dict[int, Json]:
    """Return the schemas by microversion, each derived from the last."""
    properties = dict(_PROPERTIES)
    found = {1: _rebuild(properties)}
    properties |= {'description': types.DESCRIPTION}
    found[19] = _rebuild(properties)
    properties |= {'key_name': servers.TEXT_OR_NULL}
    found[54] = _rebuild(properties)
    del properties['personality']
    properties |= {'user_data': servers.USER_DATA_OR_NULL}
    found[57] = _rebuild(properties)
    properties |= {'trusted_image_certificates': servers.CERTIFICATES}
    found[63] = _rebuild(properties)
    properties |= {'hostname': types.HOSTNAME}
    found[90] = _rebuild(properties)
    properties |= {'hostname': types.FQDN}
    found[94] = _rebuild(properties)
    return found


REBUILD: Final = BodySchema(_rebuild_schemas())
