# SPDX-License-Identifier: Apache-2.0
"""Endpoints that the Compute API had once: 410, at every microversion.

They belong to nova-network, to cells and to hypervisors that the reference has
removed. A client learns that a newer one is needed, which a 404 would not say.
"""

from typing import Final

from minova import exception
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route

#: The methods of each path.
_PATHS: Final = {
    '/os-agents': 'GET POST',
    '/os-agents/{key}': 'PUT DELETE',
    '/os-cells': 'GET POST',
    '/os-cells/detail': 'GET',
    '/os-cells/info': 'GET',
    '/os-cells/capacities': 'GET',
    '/os-cells/sync_instances': 'POST',
    '/os-cells/{key}': 'GET PUT DELETE',
    '/os-cells/{key}/capacities': 'GET',
    '/os-certificates': 'POST',
    '/os-certificates/{key}': 'GET',
    '/os-cloudpipe': 'GET POST',
    '/os-cloudpipe/{key}': 'PUT',
    '/os-fixed-ips/{key}': 'GET',
    '/os-fixed-ips/{key}/action': 'POST',
    '/os-floating-ip-dns': 'GET',
    '/os-floating-ip-dns/{key}': 'PUT DELETE',
    '/os-floating-ip-dns/{key}/entries/{name}': 'GET PUT DELETE',
    '/os-floating-ips-bulk': 'GET POST',
    '/os-floating-ips-bulk/{key}': 'GET PUT',
    '/os-fping': 'GET',
    '/os-fping/{key}': 'GET',
    '/os-networks': 'POST',
    '/os-networks/add': 'POST',
    '/os-networks/{network_id}': 'DELETE',
    '/os-networks/{network_id}/action': 'POST',
    '/os-tenant-networks': 'POST',
    '/os-tenant-networks/{network_id}': 'DELETE',
    '/os-security-group-default-rules': 'GET POST',
    '/os-security-group-default-rules/{key}': 'GET DELETE',
    '/servers/{server_id}/consoles': 'GET POST',
    '/servers/{server_id}/consoles/{key}': 'GET DELETE',
    '/servers/{server_id}/os-virtual-interfaces': 'GET',
}


def refuse(request: ApiRequest, **names: str) -> None:
    """Raise Gone; for a server, if the caller may see it."""
    if 'server_id' in names:
        request.get_server(names['server_id'])
    raise exception.Gone()


def refuse_action(request: ApiRequest, server_id: str) -> None:
    """Raise Gone for an action of a server."""
    request.get_server(server_id)
    raise exception.Gone()


ROUTES: Final = tuple(
    Route(
        method,
        path,
        refuse,
        'os_compute_api:extensions',
        410,
    )
    for path, methods in _PATHS.items()
    for method in methods.split()
)
