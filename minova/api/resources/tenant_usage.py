# SPDX-License-Identifier: Apache-2.0
"""os-simple-tenant-usage: the hours of the servers of projects in a period.

Since 2.40 a page has the usage of a number of servers: a project whose servers
are on two pages is on both, each time with the sums over the servers there.
"""

from collections.abc import Iterator
from collections.abc import Sequence
from typing import Final

from minova import clock
from minova import exception
from minova.api.http import pagination
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.schemas import queries
from minova.api.schemas.queries import Param
from minova.api.views import Document
from minova.api.views import tenant_usage as views
from minova.api.views.links import Link
from minova.db.queries import tenant_usage
from minova.db.queries.tenant_usage import UsedServer

_PAGED_SINCE: Final = 40
#: The number of servers in one read of a reply that has no pages.
_READ_SIZE: Final = 1000
_QUERY: Final = queries.QuerySchema(
    {
        'start': Param(queries.parse_time, is_repeatable=True),
        'end': Param(queries.parse_time, is_repeatable=True),
        'detailed': Param(is_repeatable=True),
        'limit': Param(queries.parse_number, since=_PAGED_SINCE),
        'marker': Param(since=_PAGED_SINCE),
    },
    strict_since=75,
)
_PATH: Final = 'os-simple-tenant-usage'


def index(request: ApiRequest) -> Document:
    """Show the usage of all projects."""
    period = _get_period(request)
    servers, links = _list(request, period, _PATH, None)
    detailed = request.query.get('detailed', ['0'])[0].lower()
    usages = views.by_project(servers, period, detailed in ('1', 'true'))
    return pagination.make_list('tenant_usages', usages, links)


def show(request: ApiRequest, project_id: str) -> Document:
    """Show the usage of a project, with that of each server."""
    request.require(str(request.rule), project_id)
    period = _get_period(request)
    path = f'{_PATH}/{project_id}'
    servers, links = _list(request, period, path, project_id)
    found = views.by_project(servers, period, is_detailed=True)
    usage = found[0] if found else {}
    return pagination.make_list('tenant_usage', usage, links)


def _get_period(request: ApiRequest) -> views.Period:
    """Return the requested period; both ends are now by default."""
    now = clock.now()
    begin, end = (
        request.query.get(name, [now])[0] for name in ('start', 'end')
    )
    if begin > end or (begin == end and request.query.keys() & {'start'}):
        raise exception.InvalidInput(
            'Invalid start time. The start time cannot occur after the end '
            f'time: start is {begin:%Y-%m-%dT%H:%M:%S}, end is '
            f'{end:%Y-%m-%dT%H:%M:%S} UTC.'
        )
    return views.Period(begin, end, now)


def _list(
    request: ApiRequest,
    period: views.Period,
    path: str,
    project_id: str | None,
) -> tuple[Sequence[UsedServer], list[Link]]:
    """Return the servers of the reply, and the link to the next page."""
    if request.version < _PAGED_SINCE:
        return list(_read_all(request, period, project_id)), []
    size = pagination.get_page_size(request)
    if size == 0:
        return [], []
    marker = request.query.get('marker')
    found = _read(request, period, project_id, size + 1, marker)
    return pagination.paginate(request, path, found, lambda row: row.uuid)


def _read_all(
    request: ApiRequest, period: views.Period, project_id: str | None
) -> Iterator[UsedServer]:
    marker = None
    while True:
        found = _read(request, period, project_id, _READ_SIZE, marker)
        yield from found
        if len(found) < _READ_SIZE:
            return
        marker = found[-1].uuid


def _read(
    request: ApiRequest,
    period: views.Period,
    project_id: str | None,
    limit: int,
    marker: str | None,
) -> list[UsedServer]:
    return request.database.read(
        lambda connection: tenant_usage.list_page(
            connection, period.begin, period.end, project_id, limit, marker
        )
    )


_RULE: Final = 'os_compute_api:os-simple-tenant-usage'
ROUTES: Final = (
    Route('GET', f'/{_PATH}', index, f'{_RULE}:list', query=_QUERY),
    Route(
        'GET', f'/{_PATH}/{{project_id}}', show, f'{_RULE}:show', query=_QUERY
    ),
)
