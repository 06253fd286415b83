# SPDX-License-Identifier: Apache-2.0
"""Servers: listed, shown, changed, deleted. ``creation`` makes them."""

from collections.abc import Sequence
import dataclasses
from typing import Any
from typing import Final

from minova import exception
from minova import states
from minova.api import edits
from minova.api import pages
from minova.api import server_queries
from minova.api.ask import Ask
from minova.api.routes import Route
from minova.api.schemas import servers as schemas
from minova.api.views import servers as views
from minova.db import hosts
from minova.db import instances
from minova.db import listings
from minova.db import operations
from minova.db.engine import Connection
from minova.operations import begin

_RULE: Final = 'os_compute_api:servers'


# -- lists -------------------------------------------------------------------


def index(ask: Ask) -> Any:
    """List servers: ids and names."""
    rows, links = _page(ask, '/servers', detail=False)
    view = ask.server_view()
    return _list([view.brief(row) for row in rows], links)


def detail(ask: Ask) -> Any:
    """List servers with all that is seen of them."""
    rows, links = _page(ask, '/servers/detail', detail=True)
    view = ask.server_view()
    if rows and ask.sees_host_status():
        view = dataclasses.replace(view, services=_services(ask))
    faults = ask.faults(*rows)
    shown = [view.detail(row, faults.get(row.uuid)) for row in rows]
    return _list(shown, links)


def _services(ask: Ask) -> dict[str, Any]:
    found = ask.database.read(
        lambda connection: hosts.services(connection, operations.COMPUTE)
    )
    return {service.host: service for service in found}


def _page(
    ask: Ask, path: str, detail: bool
) -> tuple[Sequence[Any], list[dict[str, str]]]:
    filters = server_queries.filters(ask, detail)
    order = server_queries.order(ask)
    size = pages.limit(ask)
    if filters is None or size == 0:
        return [], []
    place = detail and ask.sees_place()
    found = ask.database.read(
        lambda connection: listings.page(
            connection,
            filters,
            size + 1,
            ask.query.get('marker'),
            order,
            detail,
            place,
        )
    )
    return pages.cut(ask, path[1:], found, lambda row: row.uuid)


def _list(shown: list[Any], links: list[dict[str, str]]) -> Any:
    found: dict[str, Any] = {'servers': shown}
    if links:
        found['servers_links'] = links
    return found


# -- one ---------------------------------------------------------------------


def show(ask: Ask, server_id: str) -> Any:
    """Show a server."""
    row = _row(ask, server_id)
    ask.require_own(row)
    view = ask.server_view(row.project_id)
    fault = ask.faults(row).get(server_id)
    return {'server': view.detail(row, fault, groups=True)}


def _row(ask: Ask, server_id: str) -> Any:
    scope = ask.scope
    place, host = ask.sees_place(), ask.sees_host_status()
    row = ask.database.read(
        lambda connection: listings.find(
            connection, server_id, scope, place, host
        )
    )
    if row is None:
        raise exception.InstanceNotFound(instance_id=server_id)
    return row


def update(ask: Ask, server_id: str) -> Any:
    """Rename a server, describe it, change what else is only said of it."""
    changes = schemas.changes_of(ask.body['server'])
    edits.change(ask, server_id, lambda instance: changes)
    # Read again: what is shown is what is written.
    row = _row(ask, server_id)
    view = ask.server_view(row.project_id)
    return {'server': view.updated(row, ask.faults(row).get(server_id))}


def delete(ask: Ask, server_id: str) -> None:
    """Begin to delete a server; nothing when that is going on already."""

    def work(connection: Connection) -> begin.Begun | None:
        instance = instances.get(connection, server_id, ask.scope, lock=True)
        if instance is None:
            raise exception.InstanceNotFound(instance_id=server_id)
        ask.require_own(instance)
        if instance.task_state in states.TABLE['delete'].tasks:
            return None
        return begin.begin_locked(
            connection,
            ask.context,
            'delete',
            instance,
            ask.backend.publisher,
            begin.deletion(connection, instance),
        )

    begun = ask.database.write(work)
    if begun is not None:
        ask.wake(begun)


# -- addresses ---------------------------------------------------------------


def ips(ask: Ask, server_id: str) -> Any:
    """List the addresses of a server by network."""
    row = ask.server(server_id)
    return {'addresses': _plain(row)}


def ips_in(ask: Ask, server_id: str, network: str) -> Any:
    """List its addresses in one network."""
    found = _plain(ask.server(server_id))
    if network not in found:
        raise exception.NotFound(f'Instance is not a member of {network[:64]}')
    return {network: found[network]}


def _plain(row: Any) -> dict[str, Any]:
    shown = views.addresses(row)
    return {
        network: [
            {name: one[name] for name in ('version', 'addr')} for one in found
        ]
        for network, found in shown.items()
    }


_ONE: Final = '/servers/{server_id}'
_LIST: Final = server_queries.LIST
ROUTES: Final = (
    Route('GET', '/servers', index, f'{_RULE}:index', query=_LIST),
    Route('GET', '/servers/detail', detail, f'{_RULE}:detail', query=_LIST),
    Route('GET', _ONE, show, f'{_RULE}:show'),
    Route('PUT', _ONE, update, f'{_RULE}:update', body=schemas.UPDATE),
    Route('DELETE', _ONE, delete, f'{_RULE}:delete', 204),
    Route('GET', f'{_ONE}/ips', ips, 'os_compute_api:ips:index'),
    Route('GET', f'{_ONE}/ips/{{network}}', ips_in, 'os_compute_api:ips:show'),
)
