# SPDX-License-Identifier: Apache-2.0
"""os-networks and os-tenant-networks, for clients without a network service.

Read only, and only before 2.36. Values that are hidden from users or that
Minova's networks do not have are null.
"""

import ipaddress
from typing import Final

from minova import exception
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.views import Document
from minova.db.queries import networks
from minova.db.queries.networks import Network

_UNTIL: Final = 35
_NULL: Final = (
    'bridge bridge_interface broadcast cidr cidr_v6 created_at deleted '
    'deleted_at dhcp_server dhcp_start dns1 dns2 enable_dhcp gateway '
    'gateway_v6 host injected mtu multi_host netmask netmask_v6 priority '
    'project_id rxtx_base share_address updated_at vlan vpn_private_address '
    'vpn_public_address vpn_public_port'
)


def index(request: ApiRequest) -> Document:
    """List the networks that a project may use."""
    return {'networks': [_view(one) for one in _read_usable(request)]}


def show(request: ApiRequest, network_id: str) -> Document:
    """Show a network."""
    for one in _read_usable(request, [network_id]):
        return {'network': _view(one)}
    raise exception.NotFound(f'Network {network_id[:64]} could not be found.')


def list_of_project(request: ApiRequest) -> Document:
    """List the networks in the short form of os-tenant-networks."""
    return {'networks': [_short_view(one) for one in _read_usable(request)]}


def show_of_project(request: ApiRequest, network_id: str) -> Document:
    """Show a network in the short form."""
    for one in _read_usable(request, [network_id]):
        return {'network': _short_view(one)}
    raise exception.NotFound(f'Network {network_id[:64]} could not be found.')


def _short_view(network: Network) -> Document:
    return {'id': network.id, 'label': network.name, 'cidr': network.cidr}


def _read_usable(
    request: ApiRequest, network_ids: list[str] | None = None
) -> list[Network]:
    return request.database.read(
        lambda connection: networks.list_for_project(
            connection, request.project, network_ids, lock=False
        )
    )


def _view(network: Network) -> Document:
    result: Document = dict.fromkeys(_NULL.split())
    result |= {'id': network.id, 'label': network.name}
    for number, server in enumerate(network.dns[:2], 1):
        result[f'dns{number}'] = server
    subnet = network.subnet
    if isinstance(subnet, ipaddress.IPv6Network):
        return result | {
            'cidr_v6': network.cidr,
            'gateway_v6': network.gateway,
            'netmask_v6': str(subnet.prefixlen),
        }
    return result | {
        'cidr': network.cidr,
        'gateway': network.gateway,
        'netmask': str(subnet.netmask),
        'broadcast': str(subnet.broadcast_address),
    }


_RULE: Final = 'os_compute_api:os-networks'
_ALL: Final = '/os-networks'
_TENANT: Final = '/os-tenant-networks'
_TENANT_RULE: Final = 'os_compute_api:os-tenant-networks'
ROUTES: Final = (
    Route('GET', _ALL, index, f'{_RULE}:list', until=_UNTIL),
    Route(
        'GET', f'{_ALL}/{{network_id}}', show, f'{_RULE}:show', until=_UNTIL
    ),
    Route(
        'GET',
        _TENANT,
        list_of_project,
        f'{_TENANT_RULE}:list',
        until=_UNTIL,
    ),
    Route(
        'GET',
        f'{_TENANT}/{{network_id}}',
        show_of_project,
        f'{_TENANT_RULE}:show',
        until=_UNTIL,
    ),
)
