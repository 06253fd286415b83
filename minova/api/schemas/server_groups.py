# SPDX-License-Identifier: Apache-2.0
"""The schemas of server groups."""

from typing import Final

from minova.api.schemas import queries
from minova.api.schemas import types
from minova.api.schemas.bodies import BodySchema
from minova.api.schemas.bodies import object_schema
from minova.api.schemas.bodies import single_field
from minova.api.schemas.queries import Param
from minova.api.schemas.types import Json
from minova.db.queries import server_groups

_HARD: Final = (server_groups.ANTI_AFFINITY, server_groups.AFFINITY)
_ALL: Final = (
    *_HARD,
    server_groups.SOFT_ANTI_AFFINITY,
    server_groups.SOFT_AFFINITY,
)
#: The version since which a group has one policy with rules.
RULES_SINCE: Final = 64
MAX_PER_HOST: Final = types.integer_schema(1)


def _with_policies(names: tuple[str, ...]) -> Json:
    policies = {
        'type': 'array',
        'items': {'type': 'string', 'enum': list(names)},
        'minItems': 1,
        'maxItems': 1,
    }
    return single_field(
        'server_group',
        object_schema(
            {'name': types.NAME, 'policies': policies}, ['name', 'policies']
        ),
    )


CREATE: Final = BodySchema(
    {
        1: _with_policies(_HARD),
        15: _with_policies(_ALL),
        RULES_SINCE: single_field(
            'server_group',
            object_schema(
                {
                    'name': types.NAME,
                    'policy': {'type': 'string', 'enum': list(_ALL)},
                    'rules': object_schema(
                        {server_groups.MAX_PER_HOST: MAX_PER_HOST}
                    ),
                },
                ['name', 'policy'],
            ),
        ),
    }
)
LIST: Final = queries.QuerySchema(
    {
        'all_projects': Param(),
        'limit': Param(queries.parse_number),
        'offset': Param(queries.parse_number),
    },
    strict_since=75,
)
