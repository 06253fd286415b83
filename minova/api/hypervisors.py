# SPDX-License-Identifier: Apache-2.0
"""Hypervisors: one on each host that has ever reported."""

from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any
from typing import Final

from minova import exception
from minova.api import pages
from minova.api import services
from minova.api.ask import Ask
from minova.api.routes import Route
from minova.api.schemas import queries
from minova.api.schemas.queries import Param
from minova.api.views import hypervisors as views
from minova.api.views.hypervisors import Hypervisor
from minova.db import hosts
from minova.db import listings
from minova.db import operations
from minova.db.engine import Connection

_PATTERN: Final = 'hypervisor_hostname_pattern'
_LIST: Final = queries.Query(
    {
        'limit': Param(queries.number, since=33),
        'marker': Param(since=33),
        _PATTERN: Param(since=53),
        'with_servers': Param(queries.truth, since=53),
    },
    strict_since=53,
)
_ONE_QUERY: Final = queries.Query(
    {'with_servers': Param(queries.truth, since=53)}, strict_since=53
)


def index(ask: Ask) -> Any:
    """List hypervisors: ids and names."""
    return _list(ask, 'os-hypervisors', views.brief)


def detail(ask: Ask) -> Any:
    """List hypervisors with all that is known of them."""
    return _list(ask, 'os-hypervisors/detail', views.detail)


def show(ask: Ask, hypervisor_id: str) -> Any:
    """Show a hypervisor."""
    found = _find(ask, hypervisor_id)
    shown = views.detail(found, ask.version)
    if ask.query.get('with_servers'):
        views.add_servers(shown, found)
    return {'hypervisor': shown}


def uptime(ask: Ask, hypervisor_id: str) -> Any:
    """Tell how long it is up, which no hypervisor tells.

    Clients that show a hypervisor ask, and go on without it after a 501 only.
    """
    found = _find(ask, hypervisor_id)
    raise exception.NotOffered(
        reason=f'The uptime of {found.host.hypervisor_hostname} is not known: '
        'its hypervisor does not report it.'
    )


def statistics(ask: Ask) -> Any:
    """Show the sums over all hypervisors."""
    return {'hypervisor_statistics': views.statistics(_all(ask))}


def search(ask: Ask, hypervisor_id: str) -> Any:
    """Find hypervisors by a part of their names."""
    found = _matching(_all(ask), hypervisor_id)
    return {'hypervisors': [views.brief(one, ask.version) for one in found]}


def servers(ask: Ask, hypervisor_id: str) -> Any:
    """List the servers on the hypervisors found so."""
    shown = []
    for one in _matching(_all(ask), hypervisor_id):
        document = views.brief(one, ask.version)
        if one.servers:
            views.add_servers(document, one)
        shown.append(document)
    return {'hypervisors': shown}


# -- what they need ----------------------------------------------------------


def _all(ask: Ask, servers: bool = True) -> list[Hypervisor]:
    return ask.database.read(lambda connection: _read(connection, servers))


def _read(connection: Connection, servers: bool) -> list[Hypervisor]:
    rows = hosts.hosts(connection)
    known = {
        service.host: service
        for service in hosts.services(connection, operations.COMPUTE)
    }
    on: dict[str, list[Any]] = {row.host: [] for row in rows}
    if servers:
        for row in listings.on_hosts(connection, list(on)):
            on[row.host].append(row)
    return [
        Hypervisor(
            host=row,
            service=known.get(row.host),
            up=row.host in known and services.is_up(known[row.host]),
            servers=tuple(on[row.host]),
        )
        for row in rows
    ]


def _find(ask: Ask, hypervisor_id: str) -> Hypervisor:
    for found in _all(ask):
        if str(views.number(found, ask.version)) == hypervisor_id:
            return found
    raise exception.NotFound(
        f"Hypervisor with ID '{hypervisor_id[:64]}' could not be found."
    )


def _matching(
    found: Iterable[Hypervisor], pattern: str
) -> Sequence[Hypervisor]:
    """Return those whose name has the pattern in it; NotFound for none."""
    wanted = pattern.lower()
    matching = [
        one for one in found if wanted in one.host.hypervisor_hostname.lower()
    ]
    if not matching:
        raise exception.NotFound(
            f"No hypervisor matching '{pattern[:64]}' could be found."
        )
    return matching


def _list(ask: Ask, path: str, view: Any) -> Any:
    with_servers = ask.query.get('with_servers', False)
    found: Sequence[Hypervisor] = _all(
        ask, with_servers or view is views.detail
    )
    links: list[dict[str, str]] = []
    pattern = ask.query.get(_PATTERN)
    if pattern is not None:
        if ask.query.keys() & {'limit', 'marker'}:
            raise exception.InvalidInput(
                f'Paging over results with the {_PATTERN} query parameter is '
                'not supported.'
            )
        found = _matching(found, pattern)
    elif ask.version >= 33:
        found, links = pages.cut(
            ask,
            path,
            _behind_marker(ask, found),
            lambda one: views.number(one, ask.version),
        )
    shown: dict[str, Any] = {
        'hypervisors': [
            _with_servers(view(one, ask.version), one, with_servers)
            for one in found
        ]
    }
    if links:
        shown['hypervisors_links'] = links
    return shown


def _with_servers(document: Any, one: Hypervisor, wanted: bool) -> Any:
    return views.add_servers(document, one) if wanted else document


def _behind_marker(
    ask: Ask, found: Sequence[Hypervisor]
) -> Sequence[Hypervisor]:
    marker = ask.query.get('marker')
    if marker is None:
        return found
    for place, one in enumerate(found):
        if str(views.number(one, ask.version)) == marker:
            return found[place + 1 :]
    raise exception.InvalidInput(f'marker [{marker}] not found')


_RULE: Final = 'os_compute_api:os-hypervisors'
_ALL: Final = '/os-hypervisors'
_ONE: Final = f'{_ALL}/{{hypervisor_id}}'
ROUTES: Final = (
    Route('GET', _ALL, index, f'{_RULE}:list', query=_LIST),
    Route(
        'GET', f'{_ALL}/detail', detail, f'{_RULE}:list-detail', query=_LIST
    ),
    Route('GET', f'{_ALL}/statistics', statistics, f'{_RULE}:statistics'),
    Route('GET', _ONE, show, f'{_RULE}:show', query=_ONE_QUERY),
    Route('GET', f'{_ONE}/uptime', uptime, f'{_RULE}:uptime'),
    Route('GET', f'{_ONE}/search', search, f'{_RULE}:search', until=52),
    Route('GET', f'{_ONE}/servers', servers, f'{_RULE}:servers', until=52),
)
