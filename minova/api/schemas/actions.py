# SPDX-License-Identifier: Apache-2.0
"""What the actions on a server may hold."""

from typing import Final

from minova.api.schemas import types
from minova.api.schemas.bodies import Body
from minova.api.schemas.bodies import fields
from minova.api.schemas.bodies import one
from minova.api.schemas.types import Json

#: What many actions hold: nothing. Clients send null, {} or "".
_NOTHING: Final[Json] = {
    'type': ['null', 'object', 'string'],
    'maxProperties': 0,
    'maxLength': 0,
    'explain': 'null',
}


def _nothing(name: str) -> Body:
    return Body({1: one(name, _NOTHING)})


START: Final = _nothing('os-start')
STOP: Final = _nothing('os-stop')
PAUSE: Final = _nothing('pause')
UNPAUSE: Final = _nothing('unpause')
SUSPEND: Final = _nothing('suspend')
RESUME: Final = _nothing('resume')
UNRESCUE: Final = _nothing('unrescue')
CONFIRM: Final = _nothing('confirmResize')
REVERT: Final = _nothing('revertResize')
FORCE_DELETE: Final = _nothing('forceDelete')

REBOOT: Final = Body(
    {
        1: one(
            'reboot',
            fields(
                {
                    'type': {
                        'type': 'string',
                        'pattern': r'^([Ss][Oo][Ff][Tt]|[Hh][Aa][Rr][Dd])\Z',
                        'explain': '"SOFT" or "HARD"',
                    }
                },
                ['type'],
            ),
        )
    }
)

CONSOLE_OUTPUT: Final = Body(
    {
        1: one(
            'os-getConsoleOutput',
            fields(
                {
                    'length': {
                        'type': ['integer', 'string', 'null'],
                        'minimum': -1,
                        'maximum': types.MOST,
                        'pattern': r'^(-1|[0-9]{1,9})\Z',
                        'explain': 'a number of lines, or -1 or null for all',
                    }
                }
            ),
        )
    }
)

VNC_CONSOLE: Final = Body(
    {
        1: one(
            'os-getVNCConsole',
            fields({'type': {'enum': ['novnc', 'xvpvnc']}}, ['type']),
        )
    }
)

RESCUE: Final = Body(
    {
        1: one(
            'rescue',
            {
                **fields(
                    {
                        'adminPass': {'type': 'string', 'maxLength': 255},
                        'rescue_image_ref': types.UUID,
                    }
                ),
                'type': ['object', 'null'],
            },
        )
    }
)

#: What may be done to a live migration.
FORCE_COMPLETE: Final = _nothing('force_complete')

RESIZE: Final = Body(
    {
        1: one(
            'resize',
            fields(
                {
                    'flavorRef': types.FLAVOR_REF,
                    'OS-DCF:diskConfig': types.DISK_CONFIG,
                },
                ['flavorRef'],
            ),
        )
    }
)

MIGRATE: Final = Body(
    {
        1: one('migrate', _NOTHING),
        56: one(
            'migrate',
            {
                **fields({'host': types.HOST_OR_NULL}),
                'type': ['object', 'null'],
            },
        ),
    }
)


def _live(block_migration: Json, *more: str) -> Json:
    known = {'host': types.HOST_OR_NULL, 'block_migration': block_migration}
    needed = [*known, *(name for name in more if name != 'force')]
    known |= dict.fromkeys(more, types.BOOLEAN)
    return one('os-migrateLive', fields(known, needed))


_OR_AUTO: Final[Json] = {
    **types.BOOLEAN,
    'enum': [*types.BOOLEAN['enum'], 'auto'],
    'explain': 'true, false or "auto"',
}

MIGRATE_LIVE: Final = Body(
    {
        1: _live(types.BOOLEAN, 'disk_over_commit'),
        25: _live(_OR_AUTO),
        30: _live(_OR_AUTO, 'force'),
        68: _live(_OR_AUTO),
    }
)
