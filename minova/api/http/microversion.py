# SPDX-License-Identifier: Apache-2.0
"""Microversions: the supported ones, and the change that each one brings.

A version is the number behind the ``2.``: 47 is 2.47. The endpoints of Minova
change at exactly the versions at which Nova's do. An endpoint that Minova does
not have is 404 at every version; the rows of its versions name no change.
"""

import re
from typing import Final

import falcon

from minova import exception

#: The service name in the header that all services share.
SERVICE: Final = 'compute'
HEADER: Final = 'OpenStack-API-Version'
LEGACY_HEADER: Final = 'X-OpenStack-Nova-API-Version'

MINIMUM: Final = 1

_NO_CHANGE: Final = 'No change: Minova does not have the resource.'
_NO_VOLUMES: Final = 'No change: servers have no volumes.'

#: The change of each version, as the documentation lists it.
HISTORY: Final[dict[int, str]] = {
    1: 'The first version; every body is validated strictly.',
    2: 'Key pairs have a type, ssh or x509; the status of a create is 201, '
    'that of a delete 204.',
    3: 'Administrators see reservation_id, launch_index, hostname, '
    'kernel_id, ramdisk_id, root_device_name and user_data of a server.',
    4: 'No change: addresses belong to ports, not to os-fixed-ips.',
    5: 'Users who are not administrators may filter servers by ip6.',
    6: 'POST /servers/{id}/remote-consoles replaces the action '
    'os-getVNCConsole.',
    7: 'addTenantAccess to a public flavor is 409.',
    8: 'The console protocol mks is valid. Minova has no such console.',
    9: 'Servers show locked.',
    10: 'Administrators can set the user_id of the key pairs.',
    11: 'Services show forced_down; PUT /os-services/force-down.',
    12: 'No change: servers have no os-virtual-interfaces.',
    13: 'Server groups include project_id and user_id.',
    14: 'evacuate takes no onSharedStorage and returns no adminPass.',
    15: 'Server groups may have the policies soft-affinity and '
    'soft-anti-affinity.',
    16: 'Administrators see host_status of a server.',
    17: _NO_CHANGE,
    18: 'The URL may omit the project (here at every version).',
    19: 'Servers have a description.',
    20: _NO_VOLUMES,
    21: 'The actions of deleted servers are visible.',
    22: 'POST /servers/{id}/migrations/{id}/action: force_complete completes '
    'a live migration.',
    23: '/servers/{id}/migrations; /os-migrations shows migration_type and '
    'a link to a live migration in progress.',
    24: 'DELETE /servers/{id}/migrations/{id} aborts a live migration.',
    25: 'os-migrateLive accepts block_migration "auto" and no '
    'disk_over_commit.',
    26: 'Tags: /servers/{id}/tags, and the filters tags, tags-any, not-tags '
    'and not-tags-any.',
    27: 'The header OpenStack-API-Version (here at every version).',
    28: 'cpu_info of a hypervisor is an object.',
    29: 'evacuate accepts force. Minova checks a requested destination '
    'without it.',
    30: 'os-migrateLive accepts force. Minova checks a requested destination '
    'with and without it.',
    31: 'GET /os-console-auth-tokens/{token} shows consoles of every type.',
    32: 'Block devices and networks may have a tag.',
    33: 'Hypervisors are listed in pages. Block devices may have no tag.',
    34: 'os-migrateLive replies before the checks.',
    35: 'Key pairs are listed in pages.',
    36: 'Limits and quotas of networks are removed.',
    37: 'networks is required when a server is created, and may be "auto" or '
    '"none". Networks may have no tag.',
    38: 'An unknown status as a filter of servers is 400.',
    39: 'maxImageMeta is removed from the limits.',
    40: 'The usage of projects is paged.',
    41: 'Aggregates include a uuid.',
    42: 'Block devices and networks may have a tag again.',
    43: 'os-hosts no longer exists.',
    44: 'The actions addFixedIp, removeFixedIp, addFloatingIp and '
    'removeFloatingIp no longer exist.',
    45: _NO_CHANGE,
    46: 'X-OpenStack-Request-ID in replies (here at every version).',
    47: 'Servers embed the flavor that they were created with, not a link.',
    48: _NO_CHANGE,
    49: 'An interface can be attached with a tag.',
    50: 'Quota class sets have server groups, and no quotas of networks.',
    51: 'Users who are not administrators see the events of an action, '
    'without tracebacks.',
    52: 'Servers may be created with tags.',
    53: 'Services and hypervisors have a uuid as id: PUT and DELETE '
    '/os-services/{uuid}; hypervisor_hostname_pattern and with_servers '
    'instead of /os-hypervisors/{pattern}/search and .../servers.',
    54: 'A rebuild accepts key_name.',
    55: 'Flavors have a description; PUT /flavors/{id}.',
    56: 'migrate accepts a host.',
    57: 'personality is removed from servers, rebuilds, limits, quotas and '
    'quota classes. A rebuild accepts user_data, and its response has it.',
    58: 'Actions of a server have pages, the filter changes-since and '
    'updated_at.',
    59: 'Migrations have pages, the filter changes-since and a uuid. Unknown '
    'filters of /os-migrations are 400.',
    60: _NO_VOLUMES,
    61: 'Flavors include extra_specs.',
    62: 'Events of an action include hostId, and host for administrators.',
    63: 'trusted_image_certificates of servers. Minova does not support them: '
    'a request with some is 400.',
    64: 'Server groups have policy and rules, not policies and metadata.',
    65: 'A live migration may also be aborted while it is queued or '
    'preparing.',
    66: 'The filter changes-before of servers, actions and migrations.',
    67: 'Block devices may have a volume_type.',
    68: 'os-migrateLive and evacuate no longer accept force.',
    69: 'No change: there are no cells that can be down.',
    70: 'Interfaces include their tag.',
    71: 'A server includes server_groups.',
    72: 'No change: ports have no resource requests.',
    73: 'lock accepts a locked_reason, which servers include; locked is a '
    'filter and a sort key of servers.',
    74: 'A server may be created on a host or hypervisor_hostname that an '
    'administrator names.',
    75: 'Unknown filters are 400. PUT /servers/{id} returns the same as GET. '
    'The swap of a flavor without one is 0.',
    76: 'Services report power-update events.',
    77: 'unshelve takes an availability_zone.',
    78: 'GET /servers/{id}/topology.',
    79: _NO_VOLUMES,
    80: 'Migrations include user_id and project_id, which are filters too.',
    81: _NO_CHANGE,
    82: 'Services report accelerator-request-bound events.',
    83: 'Users who are not administrators may filter servers by more: '
    'availability_zone, config_drive, key_name, created_at, launched_at, '
    'terminated_at, power_state, task_state, vm_state, progress, user_id.',
    84: 'Events of an action include details of a failure.',
    85: _NO_VOLUMES,
    86: 'Writing an unknown extra spec to a flavor is 400; before, only the '
    'creation of a server with it failed.',
    87: _NO_VOLUMES,
    88: 'Hypervisors have an uptime, which is null, and no resources and '
    'loads any more; /os-hypervisors/statistics and .../uptime are removed.',
    89: _NO_VOLUMES,
    90: 'Servers may be created with, rebuilt with, and changed to a '
    'hostname, which every user sees.',
    91: 'unshelve takes a host; availability_zone null ends the pin of a '
    'server to its zone.',
    92: 'Key pairs are only imported, not generated; their names may have "@" '
    'and ".".',
    93: _NO_VOLUMES,
    94: 'A hostname may have several labels (FQDN).',
    95: 'An evacuated server remains stopped at its new host.',
    96: 'A server includes pinned_availability_zone.',
    97: 'No change: servers have no shares.',
    98: 'The image of a server includes its properties.',
    99: 'The protocol spice with the type spice-direct is valid. Its console '
    'tokens show the tls_port of the SPICE server.',
    100: 'A server includes the scheduler_hints of its creation.',
    101: _NO_VOLUMES,
    102: 'Flavors may be filtered by name, a regular expression, and have no '
    'rxtx_factor and no OS-FLV-DISABLED:disabled. Unknown parameters of a '
    'GET are 400 at every endpoint.',
    103: 'No change: Minova does not have os-volumes_boot, an old name of '
    'servers.',
    104: 'PUT /servers/{id} takes pinned_availability_zone: null ends the pin '
    'of a server to its zone, its zone pins it again.',
}

MAXIMUM: Final = max(HISTORY)

_PATTERN = re.compile(r'([1-9]\d{0,3})\.([1-9]\d{0,3}|0)')


def to_string(version: int) -> str:
    """Return a version in the form of headers and documents."""
    return f'2.{version}'


def parse_requested(req: falcon.Request) -> int:
    """Return the version of a request, 2.1 if it names none.

    InvalidInput for a malformed version, NotAcceptable for one outside of the
    supported range.
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
    """Return the version of this service in a header."""
    for one in header.split(','):
        service, _, version = one.strip().partition(' ')
        if service.lower() == SERVICE:
            return version
    return None


def set_version_headers(resp: falcon.Response, version: int) -> None:
    """Set the headers that name the version of a reply."""
    resp.set_header(HEADER, f'{SERVICE} {to_string(version)}')
    resp.set_header(LEGACY_HEADER, to_string(version))
    resp.append_header('Vary', HEADER)
    resp.append_header('Vary', LEGACY_HEADER)
