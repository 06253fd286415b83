# SPDX-License-Identifier: Apache-2.0
"""The schemas of quota sets and quota class sets.

Each resource is valid for a range of microversions. The resources of networks
are not limited by the Compute API, so their only value is -1.
"""

from collections.abc import Iterable
from typing import Final

from minova.api.schemas import types
from minova.api.schemas.bodies import BodySchema
from minova.api.schemas.bodies import object_schema
from minova.api.schemas.bodies import single_field
from minova.api.schemas.types import Json
from minova.quotas import limits

#: The resources of networks that replies show.
NETWORK: Final = (
    'fixed_ips',
    'floating_ips',
    'security_groups',
    'security_group_rules',
)
INJECTED: Final = (
    'injected_files',
    'injected_file_content_bytes',
    'injected_file_path_bytes',
)
GROUPS: Final = ('server_groups', 'server_group_members')
#: The last microversion with the resources of injected files.
INJECTED_UNTIL: Final = 56

_LIMIT: Final[Json] = {
    'type': ['integer', 'string'],
    'pattern': r'^(-1|[0-9]{1,10})\Z',
    'minimum': limits.UNLIMITED,
    'maximum': types.MAX_INT,
    'explain': f'a whole number from 0 to {types.MAX_INT}, or -1: unlimited',
}
_UNLIMITED: Final[Json] = {
    'enum': [limits.UNLIMITED, str(limits.UNLIMITED)],
    'explain': '-1: the Compute API does not limit networks',
}


def get_names(
    version: int,
    network_until: int,
    groups_since: int,
) -> tuple[str, ...]:
    """Return the resources of a reply at a microversion."""
    hidden: set[str] = set()
    if version > INJECTED_UNTIL:
        hidden.update(INJECTED)
    if version < groups_since:
        hidden.update(GROUPS)
    found = tuple(name for name in limits.COMPUTE if name not in hidden)
    return found + NETWORK if version <= network_until else found


def _fields(names: Iterable[str]) -> dict[str, Json]:
    """Return the properties of a body with these resources."""
    found = {name: _LIMIT for name in limits.COMPUTE if name in names}
    if NETWORK[0] in names:
        # Requests may name one more than replies show.
        found |= dict.fromkeys((*NETWORK, 'networks'), _UNLIMITED)
    return found


def _update(
    field: str, network_until: int, more: dict[str, Json]
) -> dict[int, Json]:
    """Return the schemas of an update, by microversion."""
    versions = (1, network_until + 1, INJECTED_UNTIL + 1)
    return {
        version: single_field(
            field,
            object_schema(
                _fields(get_names(version, network_until, 1)) | more
            ),
        )
        for version in versions
    }


#: The last microversions with the resources of networks, and the first one
#: with server groups.
SET_NETWORK_UNTIL: Final = 35
CLASS_NETWORK_UNTIL: Final = 49
CLASS_GROUPS_SINCE: Final = 50

UPDATE_SET: Final = BodySchema(
    _update('quota_set', SET_NETWORK_UNTIL, {'force': types.BOOLEAN})
)
UPDATE_CLASS: Final = BodySchema(
    _update('quota_class_set', CLASS_NETWORK_UNTIL, {})
)


def parse_limits(body: Json, field: str) -> dict[str, int]:
    """Return the limits in a valid body."""
    return {
        name: types.to_int(value, _LIMIT, f'{field}.{name}')
        for name, value in body[field].items()
        if name in limits.COMPUTE
    }
