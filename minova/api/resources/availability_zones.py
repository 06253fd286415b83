# SPDX-License-Identifier: Apache-2.0
"""Availability zones; the configuration of each host sets its zone."""

from collections.abc import Iterable
from typing import Final

from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.resources import services
from minova.api.views import Document
from minova.api.views import times
from minova.db.queries import hosts
from minova.db.queries import operations
from minova.db.queries.hosts import Service
from minova.engine import service_liveness

#: The services in a zone, by host and binary.
Hosts = dict[str, dict[str, Document]]


def index(request: ApiRequest) -> Document:
    """List the zones of compute hosts."""
    known = _services_by_zone(request)
    known.pop(services.INTERNAL_ZONE, None)
    return _make_response(
        _zone(name, _is_available(found), None)
        for name, found in known.items()
    )


def detail(request: ApiRequest) -> Document:
    """List all zones with their services."""
    return _make_response(
        _zone(name, _is_available(found), _hosts(found))
        for name, found in _services_by_zone(request).items()
    )


def _services_by_zone(request: ApiRequest) -> dict[str, list[Service]]:
    found, zones = request.database.read(
        lambda connection: (
            hosts.list_services(connection),
            services.read_zones(connection),
        )
    )
    known: dict[str, list[Service]] = {}
    for service in found:
        compute = service.binary == operations.COMPUTE_BINARY
        zone = zones.get(service.host) if compute else services.INTERNAL_ZONE
        known.setdefault(zone or services.INTERNAL_ZONE, []).append(service)
    return known


def _is_available(found: list[Service]) -> bool:
    return any(service_liveness.is_enabled(service) for service in found)


def _hosts(found: list[Service]) -> Hosts:
    result: Hosts = {}
    for service in found:
        result.setdefault(service.host, {})[service.binary] = {
            'available': service_liveness.is_up(service),
            'active': service_liveness.is_enabled(service),
            'updated_at': times.strtime(service.last_seen_at),
        }
    return result


def _zone(name: str, available: bool, found: Hosts | None) -> Document:
    return {
        'zoneName': name,
        'zoneState': {'available': available},
        'hosts': found,
    }


def _make_response(zones: Iterable[Document]) -> Document:
    return {'availabilityZoneInfo': list(zones)}


_RULE: Final = 'os_compute_api:os-availability-zone'
_ALL: Final = '/os-availability-zone'
ROUTES: Final = (
    Route('GET', _ALL, index, f'{_RULE}:list'),
    Route('GET', f'{_ALL}/detail', detail, f'{_RULE}:detail'),
)
