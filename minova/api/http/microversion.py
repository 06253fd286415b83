# SPDX-License-Identifier: Apache-2.0
"""Microversions: which are spoken here, and what each one changes.

A version is the number behind the ``2.``: 47 is 2.47. Every change that a
version in the table brought to an endpoint offered here is made at exactly
that version. An endpoint that is not offered is 404 at every version, so what
a version did to it is not told: those rows say that nothing changes.
"""

import re
from typing import Final

import falcon

from minova import exception

#: The service's name in the header that all services share.
SERVICE: Final = 'compute'
HEADER: Final = 'OpenStack-API-Version'
LEGACY_HEADER: Final = 'X-OpenStack-Nova-API-Version'

MINIMUM: Final = 1

_NO_CHANGE: Final = 'Nothing that is offered here.'

#: What each version changes, as the documentation lists it.
HISTORY: Final[dict[int, str]] = {
    1: 'The first version; every body is checked strictly.',
    2: 'Key pairs have a type, ssh or x509; to create one answers 201, to '
    'delete one 204.',
    3: 'Administrators see reservation_id, launch_index, hostname, '
    'kernel_id, ramdisk_id, root_device_name and user_data of a server.',
    4: _NO_CHANGE,
    5: 'Users who are not administrators may filter servers by ip6.',
    6: 'POST /servers/{id}/remote-consoles, and no action os-getVNCConsole.',
    7: _NO_CHANGE,
    8: 'A console of protocol mks may be asked for. There is none here.',
    9: 'Servers show locked.',
    10: 'Administrators name the user_id whose key pairs they mean.',
    11: 'Services show forced_down; PUT /os-services/force-down.',
    12: _NO_CHANGE,
    13: _NO_CHANGE,
    14: _NO_CHANGE,
    15: _NO_CHANGE,
    16: 'Administrators see host_status of a server.',
    17: _NO_CHANGE,
    18: 'The project may be left out of the URL (here at every version).',
    19: 'Servers have a description.',
    20: _NO_CHANGE,
    21: 'The actions of deleted servers are shown.',
    22: 'POST /servers/{id}/migrations/{id}/action: force_complete makes a '
    'live migration end.',
    23: '/servers/{id}/migrations; /os-migrations shows migration_type and '
    'a link to a live migration in progress.',
    24: 'DELETE /servers/{id}/migrations/{id} aborts a live migration.',
    25: 'os-migrateLive takes block_migration "auto" and no disk_over_commit.',
    26: 'Tags: /servers/{id}/tags, and the filters tags, tags-any, not-tags '
    'and not-tags-any.',
    27: 'The header OpenStack-API-Version (here at every version).',
    28: 'cpu_info of a hypervisor is an object.',
    29: _NO_CHANGE,
    30: 'os-migrateLive takes force. A destination that is named is checked '
    'with and without it.',
    31: 'GET /os-console-auth-tokens/{token} tells of consoles of every type.',
    32: 'Block devices and networks may have a tag.',
    33: 'Hypervisors are listed in pages. Block devices may have no tag.',
    34: 'os-migrateLive answers before the checks are made.',
    35: 'Key pairs are listed in pages.',
    36: 'Limits and quotas of networks are not shown any more.',
    37: 'networks is required when a server is created, and may be "auto" or '
    '"none". Networks may have no tag.',
    38: 'An unknown status as a filter of servers is 400.',
    39: 'maxImageMeta is not shown in the limits any more.',
    40: _NO_CHANGE,
    41: _NO_CHANGE,
    42: 'Block devices and networks may have a tag again.',
    43: _NO_CHANGE,
    44: _NO_CHANGE,
    45: _NO_CHANGE,
    46: 'X-OpenStack-Request-ID in replies (here at every version).',
    47: 'Servers show the flavor they were made with, not a reference.',
    48: _NO_CHANGE,
    49: _NO_CHANGE,
    50: _NO_CHANGE,
    51: 'Users who are not administrators see the events of an action, '
    'without tracebacks.',
    52: 'Servers may be created with tags.',
    53: 'Services and hypervisors are known by uuid: PUT and DELETE '
    '/os-services/{uuid}; hypervisor_hostname_pattern and with_servers '
    'instead of /os-hypervisors/{pattern}/search and .../servers.',
    54: _NO_CHANGE,
    55: 'Flavors have a description; PUT /flavors/{id}.',
    56: 'migrate may name a host.',
    57: 'personality is gone from servers, limits and quotas.',
    58: 'Actions of a server are listed in pages, filtered by '
    'changes-since, and show updated_at.',
    59: 'Migrations are listed in pages, filtered by changes-since, and '
    'show their uuid. Unknown filters of /os-migrations are 400.',
    60: _NO_CHANGE,
    61: 'Flavors show extra_specs.',
    62: 'Events of an action show hostId, and host to administrators.',
    63: 'trusted_image_certificates of servers. There are none here: to ask '
    'for some is 400.',
    64: _NO_CHANGE,
    65: 'A live migration may also be aborted while it is queued or '
    'preparing.',
    66: 'The filter changes-before of servers, actions and migrations.',
    67: 'Block devices may have a volume_type.',
    68: 'os-migrateLive takes no force.',
    69: _NO_CHANGE,
    70: _NO_CHANGE,
    71: 'A server shows server_groups.',
    72: _NO_CHANGE,
    73: 'lock takes a locked_reason, which servers show; servers can be '
    'filtered and sorted by locked.',
    74: 'A server may be created on a host or hypervisor_hostname that an '
    'administrator names.',
    75: 'Unknown filters are 400. PUT /servers/{id} shows all that GET '
    'does. The swap of a flavor without one is 0.',
    76: _NO_CHANGE,
    77: _NO_CHANGE,
    78: _NO_CHANGE,
    79: _NO_CHANGE,
    80: 'Migrations show user_id and project_id and can be filtered by them.',
    81: _NO_CHANGE,
    82: _NO_CHANGE,
    83: 'Users who are not administrators may filter servers by more: '
    'availability_zone, config_drive, key_name, created_at, launched_at, '
    'terminated_at, power_state, task_state, vm_state, progress, user_id.',
    84: 'Events of an action show details of what failed.',
    85: _NO_CHANGE,
    86: 'Extra specs of a flavor that no host understands are refused when '
    'they are written, not only when a server is made with them.',
}

MAXIMUM: Final = max(HISTORY)

_PATTERN = re.compile(r'([1-9]\d{0,3})\.([1-9]\d{0,3}|0)')


def to_string(version: int) -> str:
    """Return a version as it is written in headers and documents."""
    return f'2.{version}'


def parse_requested(req: falcon.Request) -> int:
    """Return the version that a request asks for, 2.1 when it asks for none.

    InvalidInput for something that is no version, NotAcceptable outside of
    what is spoken.
    """
    wanted = _find_service_version(req.get_header(HEADER) or '')
    if wanted is None:
        wanted = req.get_header(LEGACY_HEADER)
    if wanted is None:
        return MINIMUM
    wanted = wanted.strip()
    if wanted == 'latest':
        return MAXIMUM
    match = _PATTERN.fullmatch(wanted)
    if match is None:
        raise exception.InvalidInput(
            f'API Version String {wanted[:32]!r} is of invalid format. It '
            'must be "latest" or of the form 2.N.'
        )
    major, minor = int(match[1]), int(match[2])
    if major != 2 or not MINIMUM <= minor <= MAXIMUM:
        raise exception.NotAcceptable(
            requested=wanted,
            minimum=to_string(MINIMUM),
            maximum=to_string(MAXIMUM),
        )
    return minor


def _find_service_version(header: str) -> str | None:
    """Return what a header says about this service's version."""
    for one in header.split(','):
        service, _, version = one.strip().partition(' ')
        if service.lower() == SERVICE:
            return version
    return None


def set_version_headers(resp: falcon.Response, version: int) -> None:
    """Tell in the headers of a reply which version it is in."""
    resp.set_header(HEADER, f'{SERVICE} {to_string(version)}')
    resp.set_header(LEGACY_HEADER, to_string(version))
    resp.append_header('Vary', HEADER)
    resp.append_header('Vary', LEGACY_HEADER)
