# SPDX-License-Identifier: Apache-2.0
"""The schemas of flavors and extra specs."""

from typing import Final

from minova.api.schemas import types
from minova.api.schemas.bodies import BodySchema
from minova.api.schemas.bodies import object_schema
from minova.api.schemas.bodies import single_field
from minova.api.schemas.types import Json

_DESCRIPTION: Final[Json] = {'type': ['string', 'null'], 'maxLength': 65535}
_RAM: Final = types.integer_schema(1)
_VCPUS: Final = types.integer_schema(1, 65535)
_DISK: Final = types.integer_schema(0)

_FLAVOR: Final[Json] = {
    'name': types.NAME,
    'id': {
        'type': ['string', 'integer', 'null'],
        'minLength': 1,
        'maxLength': 255,
        'minimum': 0,
        'maximum': types.MAX_INT,
        'pattern': r'^(?! )[a-zA-Z0-9. _-]+(?<! )\Z',
        'explain': '1 to 255 letters, digits, ".", "-", "_" and blanks, no '
        'blank at an end; or null',
    },
    'ram': _RAM,
    'vcpus': _VCPUS,
    'disk': _DISK,
    'OS-FLV-EXT-DATA:ephemeral': _DISK,
    'swap': _DISK,
    'rxtx_factor': {
        'type': ['number', 'string'],
        'pattern': r'^[0-9]{1,6}(\.[0-9]{1,6})?\Z',
        'exclusiveMinimum': 0,
        'maximum': 1000000,
        'explain': 'a number above 0, at most 1000000',
    },
    'os-flavor-access:is_public': types.BOOLEAN,
}


def _create(flavor: Json) -> Json:
    return single_field(
        'flavor', object_schema(flavor, ['name', 'ram', 'vcpus', 'disk'])
    )


#: The version since which flavors have no rxtx_factor.
PLAIN_SINCE: Final = 102
_DESCRIBED: Final[Json] = {**_FLAVOR, 'description': _DESCRIPTION}
CREATE: Final = BodySchema(
    {
        1: _create(_FLAVOR),
        55: _create(_DESCRIBED),
        PLAIN_SINCE: _create(
            {
                name: schema
                for name, schema in _DESCRIBED.items()
                if name != 'rxtx_factor'
            }
        ),
    }
)
UPDATE: Final = BodySchema(
    {
        1: single_field(
            'flavor',
            object_schema({'description': _DESCRIPTION}, ['description']),
        )
    }
)


def _change_access(action: str) -> BodySchema:
    tenant = {'type': 'string', 'minLength': 1, 'maxLength': 255}
    return BodySchema(
        {
            1: single_field(
                action, object_schema({'tenant': tenant}, ['tenant'])
            )
        }
    )


ADD_ACCESS: Final = _change_access('addTenantAccess')
REMOVE_ACCESS: Final = _change_access('removeTenantAccess')

_SPECS: Final[Json] = {
    'type': 'object',
    'patternProperties': {
        r'^[a-zA-Z0-9_:. -]{1,255}\Z': {
            'type': ['string', 'number'],
            'maxLength': 255,
        }
    },
    'additionalProperties': False,
    'maxProperties': 1000,
}
SPECS: Final = BodySchema(
    {1: single_field('extra_specs', {**_SPECS, 'minProperties': 1})}
)
SPEC: Final = BodySchema(
    {1: {**_SPECS, 'minProperties': 1, 'maxProperties': 1}}
)


def flavor_columns(flavor: Json) -> dict[str, object]:
    """Return the database columns for the body of a new flavor."""
    numbers = (
        ('ram', 'memory_mb', _RAM),
        ('vcpus', 'vcpus', _VCPUS),
        ('disk', 'root_gb', _DISK),
        ('OS-FLV-EXT-DATA:ephemeral', 'ephemeral_gb', _DISK),
        ('swap', 'swap_mb', _DISK),
    )
    found: dict[str, object] = {
        column: types.to_int(flavor.get(key, 0), schema, f'flavor.{key}')
        for key, column, schema in numbers
    }
    public = flavor.get('os-flavor-access:is_public', True)
    return found | {
        'name': flavor['name'],
        'description': flavor.get('description'),
        'rxtx_factor': float(flavor.get('rxtx_factor', 1.0)),
        'is_public': types.to_bool(public),
    }
