# SPDX-License-Identifier: Apache-2.0
"""Hypervisors: one for each host whose compute service has reported."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Final

from minova import exception
from minova.api.http import pagination
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.schemas import queries
from minova.api.schemas.queries import Param
from minova.api.views import Document
from minova.api.views import hypervisors as views
from minova.api.views.hypervisors import Hypervisor
from minova.api.views.links import Link
from minova.db.connections.engine import Connection
from minova.db.queries import hosts
from minova.db.queries import operations
from minova.db.queries import server_queries
from minova.engine import service_liveness

_PATTERN: Final = 'hypervisor_hostname_pattern'
_LIST: Final = queries.QuerySchema(
    {
        'limit': Param(queries.parse_number, since=33),
        'marker': Param(since=33),
        _PATTERN: Param(since=53),
        'with_servers': Param(queries.parse_boolean, since=53),
    },
    strict_since=53,
)
_ONE_QUERY: Final = queries.QuerySchema(
    {'with_servers': Param(queries.parse_boolean, since=53)}, strict_since=53
)


def index(request: ApiRequest) -> Document:
    """List hypervisors: ids and names."""
    return _list(request, 'os-hypervisors', views.brief)


def detail(request: ApiRequest) -> Document:
    """List hypervisors in full."""
    return _list(request, 'os-hypervisors/detail', views.detail)


def show(request: ApiRequest, hypervisor_id: str) -> Document:
    """Show a hypervisor."""
    found = _find(request, hypervisor_id)
    result = views.detail(found, request.version)
    if request.query.get('with_servers'):
        views.add_servers(result, found)
    return {'hypervisor': result}


def uptime(request: ApiRequest, hypervisor_id: str) -> Document:
    """Raise NotSupported: no hypervisor reports its uptime.

    Clients that show a hypervisor also call this; they continue without the
    uptime only after a 501.
    """
    found = _find(request, hypervisor_id)
    raise exception.NotSupported(
        reason=(
            f'The uptime of {found.host.hypervisor_hostname} is unknown: its '
            'hypervisor does not report it.'
        )
    )


def statistics(request: ApiRequest) -> Document:
    """Show the totals of all hypervisors."""
    return {'hypervisor_statistics': views.statistics(_read_all(request))}


def search(request: ApiRequest, hypervisor_id: str) -> Document:
    """Find hypervisors by a part of their names."""
    found = _require_matching(_read_all(request), hypervisor_id)
    return {
        'hypervisors': [views.brief(one, request.version) for one in found]
    }


def servers(request: ApiRequest, hypervisor_id: str) -> Document:
    """List the servers on the hypervisors whose name contains a pattern."""
    result = []
    for one in _require_matching(_read_all(request), hypervisor_id):
        document = views.brief(one, request.version)
        if one.servers:
            views.add_servers(document, one)
        result.append(document)
    return {'hypervisors': result}


# -- helpers ----------------------------------------------------------------


def _read_all(request: ApiRequest, servers: bool = True) -> list[Hypervisor]:
    return request.database.read(lambda connection: _read(connection, servers))


def _read(connection: Connection, servers: bool) -> list[Hypervisor]:
    rows = hosts.list_hosts(connection)
    known = {
        service.host: service
        for service in hosts.list_services(
            connection, operations.COMPUTE_BINARY
        )
    }
    servers_by_host: dict[str, list[views.HostedServer]] = {
        row.host: [] for row in rows
    }
    if servers:
        for row in server_queries.list_on_hosts(
            connection, list(servers_by_host)
        ):
            servers_by_host[row.host].append(row)
    return [
        Hypervisor(
            host=row,
            service=known.get(row.host),
            is_up=row.host in known
            and service_liveness.is_up(known[row.host]),
            servers=tuple(servers_by_host[row.host]),
        )
        for row in rows
    ]


def _find(request: ApiRequest, hypervisor_id: str) -> Hypervisor:
    for found in _read_all(request):
        if str(views.get_id(found, request.version)) == hypervisor_id:
            return found
    raise exception.NotFound(
        f"Hypervisor with ID '{hypervisor_id[:64]}' could not be found."
    )


def _require_matching(
    found: Iterable[Hypervisor], pattern: str
) -> Sequence[Hypervisor]:
    """Return the hypervisors of a name pattern; raise NotFound if none."""
    wanted = pattern.lower()
    matching = [
        one for one in found if wanted in one.host.hypervisor_hostname.lower()
    ]
    if not matching:
        raise exception.NotFound(
            f"No hypervisor matching '{pattern[:64]}' could be found."
        )
    return matching


def _list(
    request: ApiRequest,
    path: str,
    view: Callable[[Hypervisor, int], Document],
) -> Document:
    with_servers = request.query.get('with_servers', False)
    found: Sequence[Hypervisor] = _read_all(
        request, with_servers or view is views.detail
    )
    links: list[Link] = []
    pattern = request.query.get(_PATTERN)
    if pattern is not None:
        if request.query.keys() & {'limit', 'marker'}:
            raise exception.InvalidInput(
                f'Paging over results with the {_PATTERN} query parameter is '
                'not supported.'
            )
        found = _require_matching(found, pattern)
    elif request.version >= 33:

        def get_id(one: Hypervisor) -> str | int:
            return views.get_id(one, request.version)

        found, links = pagination.paginate(
            request,
            path,
            pagination.after_marker(request, found, get_id),
            get_id,
        )
    result = [
        _add_servers_if(view(one, request.version), one, with_servers)
        for one in found
    ]
    return pagination.make_list('hypervisors', result, links)


def _add_servers_if(
    document: Document, one: Hypervisor, wanted: bool
) -> Document:
    return views.add_servers(document, one) if wanted else document


_RULE: Final = 'os_compute_api:os-hypervisors'
_ALL: Final = '/os-hypervisors'
_ONE: Final = f'{_ALL}/{{hypervisor_id}}'
ROUTES: Final = (
    Route('GET', _ALL, index, f'{_RULE}:list', query=_LIST),
    Route(
        'GET', f'{_ALL}/detail', detail, f'{_RULE}:list-detail', query=_LIST
    ),
    Route(
        'GET',
        f'{_ALL}/statistics',
        statistics,
        f'{_RULE}:statistics',
        until=views.PLAIN_SINCE - 1,
    ),
    Route('GET', _ONE, show, f'{_RULE}:show', query=_ONE_QUERY),
    Route(
        'GET',
        f'{_ONE}/uptime',
        uptime,
        f'{_RULE}:uptime',
        until=views.PLAIN_SINCE - 1,
    ),
    Route('GET', f'{_ONE}/search', search, f'{_RULE}:search', until=52),
    Route('GET', f'{_ONE}/servers', servers, f'{_RULE}:servers', until=52),
)
