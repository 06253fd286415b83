# SPDX-License-Identifier: Apache-2.0
"""Availability zones: into which hosts are put by their configuration."""

from typing import Any
from typing import Final

from minova.api import services
from minova.api.ask import Ask
from minova.api.routes import Route
from minova.api.views import times
from minova.db import hosts
from minova.db import operations
from minova.db.hosts import Service


def index(ask: Ask) -> Any:
    """List the zones that hosts are in."""
    known = _by_zone(ask)
    known.pop(services.INTERNAL, None)
    return _shown(
        _zone(name, _available(found), None) for name, found in known.items()
    )


def detail(ask: Ask) -> Any:
    """List all zones with the services in them."""
    return _shown(
        _zone(name, _available(found), _hosts(found))
        for name, found in _by_zone(ask).items()
    )


def _by_zone(ask: Ask) -> dict[str, list[Service]]:
    found, zones = ask.database.read(
        lambda connection: (
            hosts.services(connection),
            services.zones(connection),
        )
    )
    known: dict[str, list[Service]] = {}
    for service in found:
        compute = service.binary == operations.COMPUTE
        zone = zones.get(service.host) if compute else services.INTERNAL
        known.setdefault(zone or services.INTERNAL, []).append(service)
    return known


def _available(found: list[Service]) -> bool:
    return any(not service.disabled for service in found)


def _hosts(found: list[Service]) -> Any:
    shown: dict[str, Any] = {}
    for service in found:
        shown.setdefault(service.host, {})[service.binary] = {
            'available': services.is_up(service),
            'active': not service.disabled,
            'updated_at': times.plain(service.last_seen_at),
        }
    return shown


def _zone(name: str, available: bool, found: Any) -> Any:
    return {
        'zoneName': name,
        'zoneState': {'available': available},
        'hosts': found,
    }


def _shown(zones: Any) -> Any:
    return {'availabilityZoneInfo': list(zones)}


_RULE: Final = 'os_compute_api:os-availability-zone'
_ALL: Final = '/os-availability-zone'
ROUTES: Final = (
    Route('GET', _ALL, index, f'{_RULE}:list'),
    Route('GET', f'{_ALL}/detail', detail, f'{_RULE}:detail'),
)
