# SPDX-License-Identifier: Apache-2.0
"""Where a user wants a server: in a zone, or on a host that is named."""

import dataclasses
from typing import Any
from typing import Final

from minova import exception
from minova.api.ask import Ask
from minova.db import hosts
from minova.db.engine import Connection

_FORCED: Final = 'os_compute_api:servers:create:forced_host'
_REQUESTED: Final = 'compute:servers:create:requested_destination'


@dataclasses.dataclass(frozen=True)
class Place:
    """What was asked for; None for what was not."""

    zone: str | None = None
    host: str | None = None
    node: str | None = None


def wanted(ask: Ask, server: dict[str, Any]) -> Place:
    """Return the place that a body names; Forbidden to name a host."""
    parts = (server.get('availability_zone') or '').split(':')
    if len(parts) > 3:
        raise exception.InvalidInput(
            'Invalid input for field/attribute availability_zone: must be '
            'ZONE, ZONE:HOST or ZONE:HOST:NODE.'
        )
    zone, host, node = (*parts, '', '')[:3]
    if host or node:
        ask.require(_FORCED)
    if 'host' in server or 'hypervisor_hostname' in server:
        ask.require(_REQUESTED)
        if host or node:
            raise exception.InvalidInput(
                'A host is named in availability_zone and again in host or '
                'hypervisor_hostname; name it once.'
            )
        host = server.get('host', '')
        node = server.get('hypervisor_hostname', '')
    return Place(zone or None, host or None, node or None)


def require(connection: Connection, place: Place) -> None:
    """Raise InvalidInput for a place that does not exist."""
    if place == Place():
        return
    known = hosts.hosts(connection)
    if place.zone not in {None, *(row.availability_zone for row in known)}:
        raise exception.InvalidInput(
            f'The requested availability zone is not available: {place.zone} '
            'has no host; see GET /os-availability-zone.'
        )
    here = [
        row
        for row in known
        if place.host in (None, row.host)
        and place.node in (None, row.hypervisor_hostname)
    ]
    if not here:
        raise exception.InvalidInput(
            f'Compute host {place.host or place.node} could not be found.'
        )
