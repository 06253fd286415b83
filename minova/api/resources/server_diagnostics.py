# SPDX-License-Identifier: Apache-2.0
"""The diagnostics and the NUMA topology of a server."""

from typing import Final

from minova import clock
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.resources import host_calls
from minova.api.views import diagnostics as views
from minova.api.views import Document
from minova.api.views import topology as topology_views
from minova.engine import placements
from minova.numa.placement import Placement

#: The version since which all drivers have the same document.
_STANDARD_SINCE: Final = 48
_HOST_TOPOLOGY: Final = 'compute:server:topology:host:index'


def show_diagnostics(request: ApiRequest, server_id: str) -> Document:
    """Show what the hypervisor counts of a running server."""
    instance = host_calls.get_instance(request, server_id)
    host_calls.require_host_up(request, instance, 'get_diagnostics')
    found = host_calls.call_host(
        request,
        instance,
        lambda compute: compute.get_diagnostics(
            request.context, instance_uuid=server_id
        ),
    )
    if request.version < _STANDARD_SINCE:
        return views.free_form(found)
    return views.standard_form(found, instance, clock.now())


def show_topology(request: ApiRequest, server_id: str) -> Document:
    """Show the NUMA nodes of a server."""
    instance = host_calls.get_instance(request, server_id)
    found = request.database.read(
        lambda connection: placements.find(connection, instance, instance.host)
    )
    return topology_views.topology(
        instance,
        None if found is None else Placement.from_json(found),
        request.allows(_HOST_TOPOLOGY, instance.project_id, instance.user_id),
    )


ROUTES: Final = (
    Route(
        'GET',
        '/servers/{server_id}/diagnostics',
        show_diagnostics,
        'os_compute_api:os-server-diagnostics',
    ),
    Route(
        'GET',
        '/servers/{server_id}/topology',
        show_topology,
        'compute:server:topology:index',
        since=78,
    ),
)
