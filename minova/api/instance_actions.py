# SPDX-License-Identifier: Apache-2.0
"""What was done to a server: its operations, and their steps as events."""

from typing import Any
from typing import Final

from minova import exception
from minova.api import pages
from minova.api.ask import Ask
from minova.api.routes import Route
from minova.api.schemas import queries
from minova.api.schemas.queries import Param
from minova.api.views import actions as views
from minova.db import history

_RULE: Final = 'os_compute_api:os-instance-actions'
_PERIOD: Final[tuple[str, ...]] = ('changes-since', 'changes-before')
_LIST: Final = queries.Query(
    {
        'limit': Param(queries.number, since=58),
        'marker': Param(since=58),
        'changes-since': Param(queries.moment, since=58),
        'changes-before': Param(queries.moment, since=66),
    },
    strict_since=58,
)


def index(ask: Ask, server_id: str) -> Any:
    """List what was done, the newest first."""
    ask.server(server_id, deleted=ask.version >= 21)
    period = {name: ask.query[name] for name in _PERIOD if name in ask.query}
    paged = ask.version >= 58
    size = pages.limit(ask)
    found = ask.database.read(
        lambda connection: history.actions_page(
            connection,
            server_id,
            period,
            size + 1 if paged else None,
            ask.query.get('marker'),
        )
    )
    links: list[dict[str, str]] = []
    if paged:
        path = f'servers/{server_id}/os-instance-actions'
        page, links = pages.cut(ask, path, found, lambda o: o.request_id)
        found = list(page)
    admin = bool(ask.context.is_admin)
    shown: dict[str, Any] = {
        'instanceActions': [
            views.action(operation, ask.version, admin) for operation in found
        ]
    }
    if links:
        shown['links'] = links
    return shown


def show(ask: Ask, server_id: str, request_id: str) -> Any:
    """Show what one request did, with its events as far as they are seen."""
    row = ask.server(server_id, deleted=ask.version >= 21)
    found = ask.database.read(
        lambda connection: history.action(connection, server_id, request_id)
    )
    if found is None:
        raise exception.OperationNotFound(
            request_id=request_id, instance_id=server_id
        )
    operation, steps = found
    owner = (row.project_id, row.user_id)
    full = ask.allows(f'{_RULE}:events', *owner)
    more = ask.allows(f'{_RULE}:events:details', *owner)
    shown = views.action(operation, ask.version, bool(ask.context.is_admin))
    if full or ask.version >= 51:
        shown['events'] = [
            views.event(step, ask.version, row.project_id, full, more)
            for step in reversed(steps)
        ]
    return {'instanceAction': shown}


_ALL: Final = '/servers/{server_id}/os-instance-actions'
ROUTES: Final = (
    Route('GET', _ALL, index, f'{_RULE}:list', query=_LIST),
    Route('GET', f'{_ALL}/{{request_id}}', show, f'{_RULE}:show'),
)
