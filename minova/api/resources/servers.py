# SPDX-License-Identifier: Apache-2.0
"""Servers: list, show, update; ``server_create`` and ``deferred_delete``."""

from collections.abc import Sequence
import dataclasses
from typing import Final

from minova import exception
from minova.api.http import pagination
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.resources import deferred_delete
from minova.api.resources import server_filters
from minova.api.resources import server_update
from minova.api.resources.server_update import Changes
from minova.api.schemas import servers as schemas
from minova.api.schemas.types import Json
from minova.api.views import Document
from minova.api.views import servers as views
from minova.api.views.links import Link
from minova.db.connections.engine import Connection
from minova.db.queries import hosts
from minova.db.queries import operations
from minova.db.queries import server_queries
from minova.db.queries.hosts import Service
from minova.objects.instance import Instance

_RULE: Final = 'os_compute_api:servers'
_PIN: Final = 'pinned_availability_zone'


# -- lists -------------------------------------------------------------------


def index(request: ApiRequest) -> Document:
    """List servers: ids and names."""
    rows, links = _read_page(request, '/servers', detail=False)
    view = request.make_server_view()
    return pagination.make_list(
        'servers', [view.brief(row) for row in rows], links
    )


def detail(request: ApiRequest) -> Document:
    """List servers in full."""
    rows, links = _read_page(request, '/servers/detail', detail=True)
    view = request.make_server_view()
    if rows and request.shows_host_status():
        view = dataclasses.replace(view, services=_read_services(request))
    faults = request.get_faults(*rows)
    result = [view.detail(row, faults.get(row.uuid)) for row in rows]
    return pagination.make_list('servers', result, links)


def _read_services(request: ApiRequest) -> dict[str, Service]:
    found = request.database.read(
        lambda connection: hosts.list_services(
            connection, operations.COMPUTE_BINARY
        )
    )
    return {service.host: service for service in found}


def _read_page(
    request: ApiRequest, path: str, detail: bool
) -> tuple[Sequence[views.ServerRow], list[Link]]:
    filters = server_filters.parse_filters(request, detail)
    order = server_filters.parse_sort(request)
    size = pagination.get_page_size(request)
    if filters is None or size == 0:
        return [], []
    with_host = detail and request.shows_host()
    found = request.database.read(
        lambda connection: server_queries.list_page(
            connection,
            filters,
            size + 1,
            request.query.get('marker'),
            order,
            detail,
            with_host,
            tags=request.version >= views.TAGS_SINCE,
        )
    )
    return pagination.paginate(request, path[1:], found, lambda row: row.uuid)


# -- one server --------------------------------------------------------------


def show(request: ApiRequest, server_id: str) -> Document:
    """Show a server."""
    row = get_row(request, server_id)
    request.require_owner(row)
    view = request.make_server_view(row.project_id)
    fault = request.get_faults(row).get(server_id)
    return {'server': view.detail(row, fault, groups=True)}


def get_row(request: ApiRequest, server_id: str) -> views.ServerRow:
    """Return a server with all that the caller may see, or raise."""
    scope = request.scope
    with_host, with_host_status = (
        request.shows_host(),
        request.shows_host_status(),
    )
    row: views.ServerRow | None = request.database.read(
        lambda connection: server_queries.find(
            connection,
            server_id,
            scope,
            with_host,
            with_host_status,
            tags=request.version >= views.TAGS_SINCE,
            group=request.version >= views.GROUPS_SINCE,
        )
    )
    if row is None:
        raise exception.InstanceNotFound(instance_id=server_id)
    return row


def update(request: ApiRequest, server_id: str) -> Document:
    """Update the name, description and others without an operation."""
    given = request.body['server']
    changes = schemas.instance_changes(given)

    def change(connection: Connection, instance: Instance) -> Changes:
        return changes | _change_pin(given, instance)

    server_update.update_instance(request, server_id, change)
    # Read the row again, so that the reply shows the written values.
    row = get_row(request, server_id)
    view = request.make_server_view(row.project_id)
    return {
        'server': view.update_response(
            row, request.get_faults(row).get(server_id)
        )
    }


def _change_pin(given: Json, instance: Instance) -> Changes:
    """Return the new request spec of a server that is pinned or unpinned.

    ZonePinRefused unless the pin ends or is the present zone of the server.
    """
    spec = instance.request_spec
    if _PIN not in given or given[_PIN] == spec.availability_zone:
        return {}
    zone = given[_PIN]
    if zone is not None and (
        spec.availability_zone is not None
        or zone != instance.availability_zone
    ):
        raise exception.ZonePinRefused(
            instance_id=instance.uuid,
            zone=zone,
            pinned=spec.availability_zone or 'no zone',
            current=instance.availability_zone or 'no zone',
        )
    return {'request_spec': spec.replace(availability_zone=zone)}


# -- addresses ---------------------------------------------------------------


def list_addresses(request: ApiRequest, server_id: str) -> Document:
    """List the addresses of a server by network."""
    row = request.get_server(server_id)
    return {'addresses': views.plain_addresses(row)}


def show_addresses(
    request: ApiRequest, server_id: str, network: str
) -> Document:
    """List the addresses of a server in one network."""
    found = views.plain_addresses(request.get_server(server_id))
    if network not in found:
        raise exception.NotFound(
            'Instance is not a member of specified network'
        )
    return {network: found[network]}


_ONE: Final = '/servers/{server_id}'
_LIST: Final = server_filters.LIST_QUERY
ROUTES: Final = (
    Route('GET', '/servers', index, f'{_RULE}:index', query=_LIST),
    Route('GET', '/servers/detail', detail, f'{_RULE}:detail', query=_LIST),
    Route('GET', _ONE, show, f'{_RULE}:show'),
    Route('PUT', _ONE, update, f'{_RULE}:update', body=schemas.UPDATE),
    Route('DELETE', _ONE, deferred_delete.delete, f'{_RULE}:delete', 204),
    Route('GET', f'{_ONE}/ips', list_addresses, 'os_compute_api:ips:index'),
    Route(
        'GET',
        f'{_ONE}/ips/{{network}}',
        show_addresses,
        'os_compute_api:ips:show',
    ),
)
