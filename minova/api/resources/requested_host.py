# SPDX-License-Identifier: Apache-2.0
"""Where a user wants a server: in a zone, or on a host that is named."""

import dataclasses
from typing import Any
from typing import Final

from minova import exception
from minova.api.http.request import ApiRequest
from minova.db.connections.engine import Connection
from minova.db.queries import hosts

_FORCED: Final = 'os_compute_api:servers:create:forced_host'
_REQUESTED: Final = 'compute:servers:create:requested_destination'


@dataclasses.dataclass(frozen=True)
class RequestedHost:
    """What was asked for; None for what was not."""

    zone: str | None = None
    host: str | None = None
    node: str | None = None


def parse_requested_host(
    request: ApiRequest, server: dict[str, Any]
) -> RequestedHost:
    """Return the place that a body names; Forbidden to name a host."""
    parts = (server.get('availability_zone') or '').split(':')
    if len(parts) > 3:
        raise exception.InvalidInput(
            'Invalid input for field/attribute availability_zone: must be '
            'ZONE, ZONE:HOST or ZONE:HOST:NODE.'
        )
    zone, host, node = (*parts, '', '')[:3]
    if host or node:
        request.require(_FORCED)
    if 'host' in server or 'hypervisor_hostname' in server:
        request.require(_REQUESTED)
        if host or node:
            raise exception.InvalidInput(
                'A host is named in availability_zone and again in host or '
                'hypervisor_hostname; name it once.'
            )
        host = server.get('host', '')
        node = server.get('hypervisor_hostname', '')
    return RequestedHost(zone or None, host or None, node or None)


def require_exists(connection: Connection, requested: RequestedHost) -> None:
    """Raise InvalidInput for a place that does not exist."""
    if requested == RequestedHost():
        return
    known = hosts.list_hosts(connection)
    if requested.zone not in {None, *(row.availability_zone for row in known)}:
        raise exception.InvalidInput(
            f'The requested availability zone is not available: {requested.zone} '
            'has no host; see GET /os-availability-zone.'
        )
    matching = [
        row
        for row in known
        if requested.host in (None, row.host)
        and requested.node in (None, row.hypervisor_hostname)
    ]
    if not matching:
        raise exception.InvalidInput(
            f'Compute host {requested.host or requested.node} could not be found.'
        )
