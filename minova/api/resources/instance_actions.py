# SPDX-License-Identifier: Apache-2.0
"""The operations of a server as actions, and their steps as events."""

from typing import Final

from minova import exception
from minova.api.http import pagination
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.schemas import queries
from minova.api.schemas.queries import Param
from minova.api.views import Document
from minova.api.views import instance_actions as views
from minova.api.views.links import Link
from minova.api.views.servers import ServerRow
from minova.db.queries import api_history

_RULE: Final = 'os_compute_api:os-instance-actions'
_PERIOD: Final[tuple[str, ...]] = ('changes-since', 'changes-before')
_LIST: Final = queries.QuerySchema(
    {
        'limit': Param(queries.parse_number, since=58),
        'marker': Param(since=58),
        'changes-since': Param(queries.parse_time, since=58),
        'changes-before': Param(queries.parse_time, since=66),
    },
    strict_since=58,
)


def index(request: ApiRequest, server_id: str) -> Document:
    """List the actions of a server, newest first."""
    row = request.get_server(server_id, deleted=request.version >= 21)
    period = {
        name: request.query[name] for name in _PERIOD if name in request.query
    }
    paged = request.version >= 58
    size = pagination.get_page_size(request)
    found = request.database.read(
        lambda connection: api_history.list_actions(
            connection,
            server_id,
            period,
            size + 1 if paged else None,
            request.query.get('marker'),
        )
    )
    links: list[Link] = []
    if paged:
        path = f'servers/{server_id}/os-instance-actions'
        page, links = pagination.paginate(
            request, path, found, lambda o: o.request_id
        )
        found = list(page)
    visible = _get_visible(request, row)
    result: Document = {
        'instanceActions': [
            views.action(operation, visible) for operation in found
        ]
    }
    if links:
        result['links'] = links
    return result


def show(request: ApiRequest, server_id: str, request_id: str) -> Document:
    """Show the action of one request, with the events that are visible."""
    row = request.get_server(server_id, deleted=request.version >= 21)
    found = request.database.read(
        lambda connection: api_history.get_action(
            connection, server_id, request_id
        )
    )
    if found is None:
        raise exception.InstanceActionNotFound(
            request_id=request_id, instance_id=server_id
        )
    operation, steps = found
    visible = _get_visible(request, row)
    result = views.action(operation, visible)
    if visible.hosts or request.version >= 51:
        result['events'] = [
            views.event(operation, step, visible) for step in reversed(steps)
        ]
    return {'instanceAction': result}


def _get_visible(request: ApiRequest, row: ServerRow) -> views.Visible:
    owner = (row.project_id, row.user_id)
    return views.Visible(
        version=request.version,
        project_id=row.project_id,
        hosts=request.allows(f'{_RULE}:events', *owner),
        reasons=request.allows(f'{_RULE}:events:details', *owner),
        is_admin=bool(request.context.is_admin),
    )


_ALL: Final = '/servers/{server_id}/os-instance-actions'
ROUTES: Final = (
    Route('GET', _ALL, index, f'{_RULE}:list', query=_LIST),
    Route('GET', f'{_ALL}/{{request_id}}', show, f'{_RULE}:show'),
)
