# SPDX-License-Identifier: Apache-2.0
"""The zone or host that a request names."""

import dataclasses
from typing import Final

from minova import exception
from minova.api.http.request import ApiRequest
from minova.api.schemas.types import Json
from minova.db.connections.engine import Connection
from minova.db.queries import hosts

_FORCED: Final = 'os_compute_api:servers:create:forced_host'
_REQUESTED: Final = 'compute:servers:create:requested_destination'


@dataclasses.dataclass(frozen=True)
class RequestedHost:
    """The parsed destination; None for parts that are not set."""

    zone: str | None = None
    host: str | None = None
    node: str | None = None


def parse_requested_host(request: ApiRequest, server: Json) -> RequestedHost:
    """Return the destination in a body; Forbidden to name a host."""
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
                'availability_zone names a host, and so does host or '
                'hypervisor_hostname; name the host once.'
            )
        host = server.get('host', '')
        node = server.get('hypervisor_hostname', '')
    return RequestedHost(zone or None, host or None, node or None)


def require_exists(connection: Connection, requested: RequestedHost) -> None:
    """Raise InvalidInput for an unknown zone or host."""
    if requested == RequestedHost():
        return
    known = hosts.list_hosts(connection)
    if requested.zone not in {None, *(row.availability_zone for row in known)}:
        raise exception.InvalidInput(
            'The requested availability zone is not available: '
            f'{requested.zone} has no host; see GET /os-availability-zone.'
        )
    matching = [
        row
        for row in known
        if requested.host in (None, row.host)
        and requested.node in (None, row.hypervisor_hostname)
    ]
    if not matching:
        raise exception.InvalidInput(
            f'Compute host {requested.host or requested.node} could not be '
            'found.'
        )
