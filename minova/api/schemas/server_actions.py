# SPDX-License-Identifier: Apache-2.0
"""The schemas of the actions of a server and of a live migration."""

from typing import Final

from minova.api.schemas import types
from minova.api.schemas.bodies import BodySchema
from minova.api.schemas.bodies import object_schema
from minova.api.schemas.bodies import single_field
from minova.api.schemas.types import Json

#: The body of many actions is empty: clients send null, {} or "".
_EMPTY: Final[Json] = {
    'type': ['null', 'object', 'string'],
    'maxProperties': 0,
    'maxLength': 0,
    'explain': 'null',
}


def _empty_action(name: str) -> BodySchema:
    return BodySchema({1: single_field(name, _EMPTY)})


START: Final = _empty_action('os-start')
STOP: Final = _empty_action('os-stop')
PAUSE: Final = _empty_action('pause')
UNPAUSE: Final = _empty_action('unpause')
SUSPEND: Final = _empty_action('suspend')
RESUME: Final = _empty_action('resume')
UNRESCUE: Final = _empty_action('unrescue')
CONFIRM: Final = _empty_action('confirmResize')
REVERT: Final = _empty_action('revertResize')
FORCE_DELETE: Final = _empty_action('forceDelete')
RESTORE: Final = _empty_action('restore')
SHELVE: Final = _empty_action('shelve')
SHELVE_OFFLOAD: Final = _empty_action('shelveOffload')

LOCK: Final = BodySchema(
    {
        1: single_field('lock', _EMPTY),
        73: single_field(
            'lock',
            {
                **object_schema(
                    {
                        'locked_reason': {
                            'type': 'string',
                            'minLength': 1,
                            'maxLength': 255,
                        }
                    }
                ),
                'type': ['object', 'null'],
            },
        ),
    }
)
RESET_STATE: Final = BodySchema(
    {
        1: single_field(
            'os-resetState',
            object_schema(
                {'state': {'type': 'string', 'enum': ['active', 'error']}},
                ['state'],
            ),
        )
    }
)
UNLOCK: Final = _empty_action('unlock')

REBOOT: Final = BodySchema(
    {
        1: single_field(
            'reboot',
            object_schema(
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

INJECT_NETWORK_INFO: Final = _empty_action('injectNetworkInfo')
RESET_NETWORK: Final = _empty_action('resetNetwork')


def _security_group(action: str) -> BodySchema:
    group = object_schema({'name': types.NAME}, ['name'])
    return BodySchema({1: single_field(action, group)})


ADD_SECURITY_GROUP: Final = _security_group('addSecurityGroup')
REMOVE_SECURITY_GROUP: Final = _security_group('removeSecurityGroup')

ADD_FIXED_IP: Final = BodySchema(
    {
        1: single_field(
            'addFixedIp',
            object_schema({'networkId': types.NETWORK_ID}, ['networkId']),
        )
    }
)
REMOVE_FIXED_IP: Final = BodySchema(
    {
        1: single_field(
            'removeFixedIp',
            object_schema({'address': types.IP_ADDRESS}, ['address']),
        )
    }
)

CONSOLE_OUTPUT: Final = BodySchema(
    {
        1: single_field(
            'os-getConsoleOutput',
            object_schema(
                {
                    'length': {
                        'type': ['integer', 'string', 'null'],
                        'minimum': -1,
                        'maximum': types.MAX_INT,
                        'pattern': r'^(-1|[0-9]{1,9})\Z',
                        'explain': 'a number of lines, or -1 or null for all',
                    }
                }
            ),
        )
    }
)


def _console_action(name: str, *kinds: str) -> BodySchema:
    known = object_schema({'type': {'enum': list(kinds)}}, ['type'])
    return BodySchema({1: single_field(name, known)})


VNC_CONSOLE: Final = _console_action('os-getVNCConsole', 'novnc', 'xvpvnc')
SPICE_CONSOLE: Final = _console_action('os-getSPICEConsole', 'spice-html5')
RDP_CONSOLE: Final = _console_action('os-getRDPConsole', 'rdp-html5')
SERIAL_CONSOLE: Final = _console_action('os-getSerialConsole', 'serial')

RESCUE: Final = BodySchema(
    {
        1: single_field(
            'rescue',
            {
                **object_schema(
                    {
                        'adminPass': {'type': 'string', 'maxLength': 255},
                        'rescue_image_ref': types.IMAGE_REF,
                    }
                ),
                'type': ['object', 'null'],
            },
        )
    }
)

CHANGE_PASSWORD: Final = BodySchema(
    {
        1: single_field(
            'changePassword',
            object_schema(
                {'adminPass': {'type': 'string', 'maxLength': 255}},
                ['adminPass'],
            ),
        )
    }
)
TRIGGER_CRASH_DUMP: Final = _empty_action('trigger_crash_dump')

#: The actions of a live migration.
FORCE_COMPLETE: Final = _empty_action('force_complete')

RESIZE: Final = BodySchema(
    {
        1: single_field(
            'resize',
            object_schema(
                {
                    'flavorRef': types.FLAVOR_REF,
                    'OS-DCF:diskConfig': types.DISK_CONFIG,
                },
                ['flavorRef'],
            ),
        )
    }
)

MIGRATE: Final = BodySchema(
    {
        1: single_field('migrate', _EMPTY),
        56: single_field(
            'migrate',
            {
                **object_schema({'host': types.HOST_OR_NULL}),
                'type': ['object', 'null'],
            },
        ),
    }
)


def _live_migrate(block_migration: Json, *more: str) -> Json:
    known = {'host': types.HOST_OR_NULL, 'block_migration': block_migration}
    needed = [*known, *(name for name in more if name != 'force')]
    known |= dict.fromkeys(more, types.BOOLEAN)
    return single_field('os-migrateLive', object_schema(known, needed))


_BOOLEAN_OR_AUTO: Final[Json] = {
    **types.BOOLEAN,
    'enum': [*types.BOOLEAN['enum'], 'auto'],
    'explain': 'true, false or "auto"',
}

MIGRATE_LIVE: Final = BodySchema(
    {
        1: _live_migrate(types.BOOLEAN, 'disk_over_commit'),
        25: _live_migrate(_BOOLEAN_OR_AUTO),
        30: _live_migrate(_BOOLEAN_OR_AUTO, 'force'),
        68: _live_migrate(_BOOLEAN_OR_AUTO),
    }
)


def _evacuate(*needed: str, **more: Json) -> Json:
    known = {
        'host': types.HOST,
        'adminPass': {'type': 'string', 'maxLength': 255},
        **more,
    }
    return single_field('evacuate', object_schema(known, list(needed)))


EVACUATE: Final = BodySchema(
    {
        1: _evacuate('onSharedStorage', onSharedStorage=types.BOOLEAN),
        14: _evacuate(),
        29: _evacuate(force=types.BOOLEAN),
        68: _evacuate(),
    }
)
_IMAGE_NAME: Final = {
    'name': types.NAME,
    'metadata': types.METADATA,
}
CREATE_IMAGE: Final = BodySchema(
    {1: single_field('createImage', object_schema(_IMAGE_NAME, ['name']))}
)
ROTATION: Final = types.integer_schema(0)
CREATE_BACKUP: Final = BodySchema(
    {
        1: single_field(
            'createBackup',
            object_schema(
                {
                    **_IMAGE_NAME,
                    'backup_type': {'type': 'string', 'maxLength': 255},
                    'rotation': ROTATION,
                },
                ['name', 'backup_type', 'rotation'],
            ),
        )
    }
)

UNSHELVE: Final = BodySchema(
    {
        1: single_field('unshelve', _EMPTY),
        77: single_field(
            'unshelve',
            {
                **object_schema(
                    {'availability_zone': types.NAME}, ['availability_zone']
                ),
                'type': ['object', 'null'],
            },
        ),
        91: single_field(
            'unshelve',
            {
                **object_schema(
                    {
                        'availability_zone': {
                            **types.NAME,
                            'type': ['string', 'null'],
                        },
                        'host': types.HOST,
                    }
                ),
                'type': ['object', 'null'],
                'minProperties': 1,
            },
        ),
    }
)
