# SPDX-License-Identifier: Apache-2.0
"""The schema of a remote console."""

from typing import Final

from minova.api.schemas.bodies import BodySchema
from minova.api.schemas.bodies import object_schema
from minova.api.schemas.bodies import single_field
from minova.api.schemas.types import Json

_PROTOCOLS: Final = ('vnc', 'spice', 'rdp', 'serial')
_TYPES: Final = ('novnc', 'xvpvnc', 'spice-html5', 'rdp-html5', 'serial')


def _remote(protocols: tuple[str, ...], kinds: tuple[str, ...]) -> Json:
    known = {
        'protocol': {'enum': list(protocols)},
        'type': {'enum': list(kinds)},
    }
    return single_field('remote_console', object_schema(known, known))


#: The host decides which of these types it has.
REMOTE_CONSOLE: Final = BodySchema(
    {
        1: _remote(_PROTOCOLS, _TYPES),
        8: _remote((*_PROTOCOLS, 'mks'), (*_TYPES, 'webmks')),
        99: _remote((*_PROTOCOLS, 'mks'), (*_TYPES, 'webmks', 'spice-direct')),
    }
)
