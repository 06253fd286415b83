# SPDX-License-Identifier: Apache-2.0
"""Flavors: the sizes that servers are made in.

A flavor that is changed or deleted does not change the servers made with it:
they keep a copy. Flavors that are not public are for administrators; access
to one cannot be given to single projects.
"""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import Final

from oslo_db import exception as db_exception

from minova import clock
from minova import exception
from minova.api import flavor_lookup
from minova.api import pages
from minova.api.ask import Ask
from minova.api.routes import Route
from minova.api.schemas import flavors as schemas
from minova.api.schemas import queries
from minova.api.schemas.queries import Param
from minova.api.views import flavors as views
from minova.db import flavors
from minova.db.engine import Connection
from minova.objects.flavor import Flavor

_SPECS: Final = 'os_compute_api:os-flavor-extra-specs:index'

#: What flavors may be sorted by, and the attribute that is.
_SORT_KEYS: Final = {
    'flavorid': 'flavorid',
    'id': 'id',
    'name': 'name',
    'memory_mb': 'memory_mb',
    'vcpus': 'vcpus',
    'root_gb': 'root_gb',
    'ephemeral_gb': 'ephemeral_gb',
    'swap': 'swap_mb',
    'rxtx_factor': 'rxtx_factor',
    'is_public': 'is_public',
    'disabled': 'disabled',
    'description': 'description',
}


def _public(value: str) -> bool | None:
    """Take true, false or none, which means both."""
    return None if value.strip().lower() == 'none' else queries.truth(value)


_LIST: Final = queries.Query(
    {
        **queries.PAGE,
        'sort_key': Param(queries.one_of(*_SORT_KEYS)),
        'sort_dir': Param(queries.one_of('asc', 'desc')),
        'is_public': Param(_public),
        'minRam': Param(queries.number),
        'minDisk': Param(queries.number),
    },
    strict_since=75,
)


def index(ask: Ask) -> Any:
    """List flavors: ids and names."""
    return _list(
        ask,
        'flavors',
        lambda flavor: views.brief(flavor, ask.version, ask.links),
    )


def detail(ask: Ask) -> Any:
    """List flavors with all there is of them."""
    specs = _sees_specs(ask)
    return _list(
        ask,
        'flavors/detail',
        lambda flavor: views.detail(flavor, ask.version, ask.links, specs),
    )


def show(ask: Ask, flavor_id: str) -> Any:
    """Show a flavor."""
    return _shown(ask, find(ask, flavor_id))


def find(ask: Ask, flavor_id: str) -> Flavor:
    """Return a flavor that the caller sees; FlavorNotFound."""
    return ask.database.read(
        lambda connection: flavor_lookup.visible(connection, ask, flavor_id)
    )


def create(ask: Ask) -> Any:
    """Make a flavor."""
    given = ask.body['flavor']
    number = given.get('id')
    if number is None or number == 'auto':
        number = clock.uuid4()
    values = schemas.columns(given) | {
        'flavorid': str(number),
        'disabled': False,
        'extra_specs': {},
        'created_at': clock.now(),
    }
    ask.database.write(lambda connection: _insert(connection, values))
    return _shown(ask, find(ask, str(number)))


def _insert(connection: Connection, values: dict[str, Any]) -> None:
    if flavors.get(connection, values['flavorid']) is not None:
        raise exception.FlavorExists(flavor_id=values['flavorid'])
    if flavors.by_name(connection, values['name']) is not None:
        raise exception.FlavorNameExists(name=values['name'])
    try:
        flavors.insert(connection, values)
    except db_exception.DBDuplicateEntry as error:
        # Somebody made it a moment ago.
        raise exception.FlavorExists(flavor_id=values['flavorid']) from error


def update(ask: Ask, flavor_id: str) -> Any:
    """Describe a flavor."""
    changes = {'description': ask.body['flavor']['description']}

    def work(connection: Connection) -> None:
        flavor = flavor_lookup.visible(connection, ask, flavor_id)
        flavors.update(connection, flavor.id, changes)

    ask.database.write(work)
    return _shown(ask, find(ask, flavor_id))


def delete(ask: Ask, flavor_id: str) -> None:
    """Remove a flavor."""

    def work(connection: Connection) -> None:
        flavor = flavor_lookup.visible(connection, ask, flavor_id)
        flavors.delete(connection, flavor.id)

    ask.database.write(work)


def access(ask: Ask, flavor_id: str) -> Any:
    """List the projects that may use a flavor which is not public: none."""
    flavor = find(ask, flavor_id)
    if flavor.is_public:
        raise exception.NotFound(
            'Access list not available for public flavors.'
        )
    return {'flavor_access': []}


# -- what they need ----------------------------------------------------------


def _shown(ask: Ask, flavor: Flavor) -> Any:
    specs = _sees_specs(ask)
    return {'flavor': views.detail(flavor, ask.version, ask.links, specs)}


def _sees_specs(ask: Ask) -> bool:
    return ask.version >= 61 and ask.allows(_SPECS)


def _list(ask: Ask, path: str, view: Callable[[Flavor], Any]) -> Any:
    found = _behind_marker(ask, _sorted(ask, _filtered(ask)))
    page, links = pages.cut(ask, path, found, lambda flavor: flavor.flavorid)
    shown: dict[str, Any] = {'flavors': [view(flavor) for flavor in page]}
    if links:
        shown['flavors_links'] = links
    return shown


def _filtered(ask: Ask) -> list[Flavor]:
    # There are few flavors; filtering them here is no slower.
    found = ask.database.read(flavors.all_of)
    public: bool | None = True
    if ask.allows(flavor_lookup.RULE):
        public = ask.query.get('is_public', True)
    return [
        flavor
        for flavor in found
        if public in (None, flavor.is_public)
        and not flavor.disabled
        and flavor.memory_mb >= ask.query.get('minRam', 0)
        and flavor.root_gb >= ask.query.get('minDisk', 0)
    ]


def _sorted(ask: Ask, found: list[Flavor]) -> list[Flavor]:
    name = _SORT_KEYS[ask.query.get('sort_key', 'flavorid')]
    descending = ask.query.get('sort_dir') == 'desc'

    def key(flavor: Flavor) -> tuple[Any, int]:
        value = getattr(flavor, name)
        return ('' if value is None else value, flavor.id)

    return sorted(found, key=key, reverse=descending)


def _behind_marker(ask: Ask, found: list[Flavor]) -> Sequence[Flavor]:
    marker = ask.query.get('marker')
    if marker is None:
        return found
    for number, flavor in enumerate(found):
        if flavor.flavorid == marker:
            return found[number + 1 :]
    raise exception.InvalidInput(f'marker [{marker}] not found')


_RULE: Final = 'os_compute_api:flavors'
_MANAGE: Final = 'os_compute_api:os-flavor-manage'
_ONE: Final = '/flavors/{flavor_id}'
ROUTES: Final = (
    Route('GET', '/flavors', index, _RULE, query=_LIST),
    Route(
        'POST',
        '/flavors',
        create,
        f'{_MANAGE}:create',
        body=schemas.CREATE,
    ),
    Route('GET', '/flavors/detail', detail, _RULE, query=_LIST),
    Route('GET', _ONE, show, _RULE),
    Route(
        'PUT',
        _ONE,
        update,
        f'{_MANAGE}:update',
        body=schemas.UPDATE,
        since=55,
    ),
    Route('DELETE', _ONE, delete, f'{_MANAGE}:delete', 202),
    Route('GET', f'{_ONE}/os-flavor-access', access, flavor_lookup.RULE),
)
