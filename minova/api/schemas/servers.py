# SPDX-License-Identifier: Apache-2.0
"""The schemas of servers, their metadata and their tags."""

import ipaddress
from typing import Final

from minova.api.schemas import types
from minova.api.schemas.bodies import BodySchema
from minova.api.schemas.bodies import object_schema
from minova.api.schemas.bodies import single_field
from minova.api.schemas.types import Json

TEXT: Final[Json] = {'type': 'string', 'maxLength': 255}
TEXT_OR_NULL: Final[Json] = {'type': ['string', 'null'], 'maxLength': 255}
_ANY: Final[Json] = {}
_MAX_ITEMS: Final = 64

# -- networks, disks ---------------------------------------------------------

_NETWORK: Final[Json] = {
    'uuid': TEXT_OR_NULL,
    'port': TEXT_OR_NULL,
    'fixed_ip': TEXT_OR_NULL,
}


def _networks(tag: bool) -> Json:
    known = {**_NETWORK, 'tag': types.TAG} if tag else _NETWORK
    return {
        'type': 'array',
        'items': object_schema(known),
        'maxItems': _MAX_ITEMS,
    }


def _networks_or_word(tag: bool) -> Json:
    return {
        **_networks(tag),
        'type': ['array', 'string'],
        # No "enum", which would apply to a list too.
        'pattern': r'^(auto|none)\Z',
        'explain': '"auto", "none" or a list of networks',
    }


_DISK: Final[Json] = {
    'boot_index': {
        'type': ['integer', 'string', 'null'],
        'pattern': r'^-?[0-9]{1,4}\Z',
    },
    'source_type': {
        'type': 'string',
        'enum': ['volume', 'image', 'snapshot', 'blank'],
    },
    'destination_type': {'type': 'string', 'enum': ['local', 'volume']},
    'uuid': TEXT_OR_NULL,
    'image_id': TEXT_OR_NULL,
    'volume_id': TEXT_OR_NULL,
    'snapshot_id': TEXT_OR_NULL,
    'volume_size': {'type': ['integer', 'string', 'null'], 'maxLength': 10},
    'delete_on_termination': types.BOOLEAN,
    'guest_format': TEXT_OR_NULL,
    'device_name': TEXT_OR_NULL,
    'device_type': TEXT_OR_NULL,
    'disk_bus': TEXT_OR_NULL,
    'no_device': _ANY,
}


def _disks(*more: str) -> Json:
    known = {**_DISK, **dict.fromkeys(more, TEXT_OR_NULL)}
    return {
        'type': 'array',
        'items': object_schema(known),
        'maxItems': _MAX_ITEMS,
    }


# -- create ------------------------------------------------------------------

_COUNT: Final = types.integer_schema(1)
_USER_DATA: Final[Json] = {
    'type': 'string',
    'maxLength': 65535,
    # No character fits two neighbours: no attempt is ever repeated.
    'pattern': r'^[A-Za-z0-9+/\s]*(=\s*){0,2}\Z',
    'explain': 'at most 65535 characters in base64',
}
USER_DATA_OR_NULL: Final[Json] = {
    **_USER_DATA,
    'type': ['string', 'null'],
    'explain': f'{_USER_DATA["explain"]}, or null',
}
PERSONALITY: Final[Json] = {'type': 'array', 'maxItems': _MAX_ITEMS}
CERTIFICATES: Final[Json] = {
    'type': ['array', 'null'],
    'items': TEXT,
    'maxItems': 50,
}
_SERVER: Final[Json] = {
    'name': types.NAME,
    'imageRef': types.IMAGE_REF_OR_EMPTY,
    'flavorRef': types.FLAVOR_REF,
    'adminPass': TEXT,
    'metadata': types.METADATA,
    'networks': _networks(tag=False),
    'OS-DCF:diskConfig': types.DISK_CONFIG,
    'accessIPv4': types.IPV4,
    'accessIPv6': types.IPV6,
    'availability_zone': TEXT,
    'config_drive': types.BOOLEAN,
    'key_name': TEXT,
    'min_count': _COUNT,
    'max_count': _COUNT,
    'return_reservation_id': types.BOOLEAN,
    'security_groups': {
        'type': 'array',
        'items': {
            'type': 'object',
            'properties': {'name': TEXT},
            'required': ['name'],
        },
        'maxItems': _MAX_ITEMS,
    },
    'user_data': _USER_DATA,
    'personality': PERSONALITY,
    'block_device_mapping': {'type': 'array', 'maxItems': _MAX_ITEMS},
    'block_device_mapping_v2': _disks(),
}
_SERVERS: Final[Json] = {
    'type': ['string', 'array'],
    'maxLength': 255,
    'items': TEXT,
    'maxItems': _MAX_ITEMS,
    'explain': 'the id of a server, or a list of ids',
}
#: The length of the hint ``query`` as JSON.
MAX_QUERY_LENGTH: Final = 4096
#: Other hints are accepted and shown, and have no effect.
_HINTS: Final[Json] = {
    'type': 'object',
    'maxProperties': _MAX_ITEMS,
    'properties': {
        'group': types.UUID,
        'different_host': _SERVERS,
        'same_host': _SERVERS,
        'query': {
            'type': ['string', 'object', 'array'],
            'maxLength': MAX_QUERY_LENGTH,
            'maxItems': _MAX_ITEMS,
            'maxProperties': _MAX_ITEMS,
        },
        'build_near_host_ip': TEXT,
        'cidr': {
            'type': 'string',
            'pattern': r'^/[0-9]{1,3}\Z',
            'explain': 'the length of a prefix, e.g. /24',
        },
        'target_cell': TEXT,
        'different_cell': _SERVERS,
        'reservation': TEXT,
    },
}


def _create(server: Json, *required: str) -> Json:
    return object_schema(
        {
            'server': object_schema(server, ['name', 'flavorRef', *required]),
            'os:scheduler_hints': _HINTS,
            'OS-SCH-HNT:scheduler_hints': _HINTS,
        },
        ['server'],
    )


def _create_schemas() -> dict[int, Json]:
    """Return the schemas by microversion, each derived from the last."""
    networks = 'networks'
    disks = 'block_device_mapping_v2'
    server = dict(_SERVER)
    found = {1: _create(server)}
    server |= {'description': types.DESCRIPTION}
    found[19] = _create(server)
    server |= {networks: _networks(tag=True), disks: _disks('tag')}
    found[32] = _create(server)
    server |= {disks: _disks()}
    found[33] = _create(server)
    server |= {networks: _networks_or_word(tag=False)}
    found[37] = _create(server, networks)
    server |= {networks: _networks_or_word(tag=True), disks: _disks('tag')}
    found[42] = _create(server, networks)
    server |= {'tags': types.TAGS}
    found[52] = _create(server, networks)
    del server['personality']
    found[57] = _create(server, networks)
    server |= {'trusted_image_certificates': CERTIFICATES}
    found[63] = _create(server, networks)
    server |= {disks: _disks('tag', 'volume_type')}
    found[67] = _create(server, networks)
    server |= {'host': types.HOST, 'hypervisor_hostname': types.HOST}
    found[74] = _create(server, networks)
    server |= {'hostname': types.HOSTNAME}
    found[90] = _create(server, networks)
    server |= {'hostname': types.FQDN}
    found[94] = _create(server, networks)
    return found


CREATE: Final = BodySchema(_create_schemas())

# -- update, metadata, tags --------------------------------------------------

_CHANGES: Final[Json] = {
    'name': types.NAME,
    'OS-DCF:diskConfig': types.DISK_CONFIG,
    'accessIPv4': types.IPV4,
    'accessIPv6': types.IPV6,
}


def _update(changes: Json) -> Json:
    return single_field('server', object_schema(changes))


_DESCRIBED: Final[Json] = {**_CHANGES, 'description': types.DESCRIPTION}
UPDATE: Final = BodySchema(
    {
        1: _update(_CHANGES),
        19: _update(_DESCRIBED),
        90: _update({**_DESCRIBED, 'hostname': types.HOSTNAME}),
        94: _update({**_DESCRIBED, 'hostname': types.FQDN}),
        104: _update(
            {
                **_DESCRIBED,
                'hostname': types.FQDN,
                'pinned_availability_zone': {**TEXT_OR_NULL, 'minLength': 1},
            }
        ),
    }
)

METADATA: Final = BodySchema({1: single_field('metadata', types.METADATA)})
META: Final = BodySchema(
    {
        1: single_field(
            'meta', {**types.METADATA, 'minProperties': 1, 'maxProperties': 1}
        )
    }
)
TAGS: Final = BodySchema({1: single_field('tags', types.TAGS)})


def instance_changes(server: Json) -> dict[str, object]:
    """Return the new values of an instance for the body of an update."""
    names = {'name': 'display_name', 'description': 'display_description'}
    names['hostname'] = 'hostname'
    found = {names[key]: server[key] for key in names if key in server}
    addresses = {'accessIPv4': 'access_ip_v4', 'accessIPv6': 'access_ip_v6'}
    for key, name in addresses.items():
        if key in server:
            given = server[key]
            found[name] = str(ipaddress.ip_address(given)) if given else None
    if 'OS-DCF:diskConfig' in server:
        found['auto_disk_config'] = server['OS-DCF:diskConfig'] == 'AUTO'
    return found
