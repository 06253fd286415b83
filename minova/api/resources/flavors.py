# SPDX-License-Identifier: Apache-2.0
"""Flavors.

A change or deletion of a flavor does not affect existing servers: they keep a
copy. A flavor that is not public is visible to administrators and to the
projects in its access list (``flavor_access``).
"""

from collections.abc import Callable
from typing import Final

from oslo_db import exception as db_exception

from minova import clock
from minova import exception
from minova.api.http import pagination
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.resources import flavor_lookup
from minova.api.schemas import flavors as schemas
from minova.api.schemas import patterns
from minova.api.schemas import queries
from minova.api.schemas.queries import Param
from minova.api.views import Document
from minova.api.views import flavors as views
from minova.db.connections import user_regex
from minova.db.connections.engine import Connection
from minova.db.queries import flavors
from minova.objects.flavor import Flavor

_SPECS: Final = 'os_compute_api:os-flavor-extra-specs:index'

#: The sort keys, and the attributes they sort by.
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


def _parse_is_public(value: str) -> bool | None:
    """Accept true, false or none; none selects both."""
    return (
        None
        if value.strip().lower() == 'none'
        else queries.parse_boolean(value)
    )


_LIST: Final = queries.QuerySchema(
    {
        **queries.PAGE_PARAMS,
        'sort_key': Param(queries.one_of(*_SORT_KEYS)),
        'name': Param(patterns.parse_regex, since=schemas.PLAIN_SINCE),
        'sort_dir': Param(queries.one_of('asc', 'desc')),
        'is_public': Param(_parse_is_public),
        'minRam': Param(queries.parse_number),
        'minDisk': Param(queries.parse_number),
    },
    strict_since=75,
)


def index(request: ApiRequest) -> Document:
    """List flavors: ids and names."""
    return _list(
        request,
        'flavors',
        lambda flavor: views.brief(flavor, request.version, request.links),
    )


def detail(request: ApiRequest) -> Document:
    """List flavors in full."""
    specs = _shows_specs(request)
    return _list(
        request,
        'flavors/detail',
        lambda flavor: views.detail(
            flavor, request.version, request.links, specs
        ),
    )


def show(request: ApiRequest, flavor_id: str) -> Document:
    """Show a flavor."""
    return _make_response(request, get_flavor(request, flavor_id))


def get_flavor(request: ApiRequest, flavor_id: str) -> Flavor:
    """Return a visible flavor, or raise FlavorNotFound."""
    return request.database.read(
        lambda connection: flavor_lookup.get_visible(
            connection, request, flavor_id
        )
    )


def create(request: ApiRequest) -> Document:
    """Create a flavor."""
    given = request.body['flavor']
    number = given.get('id')
    if number is None or number == 'auto':
        number = clock.uuid4()
    flavor_id, name = str(number), given['name']
    values = schemas.flavor_columns(given) | {
        'flavorid': flavor_id,
        'disabled': False,
        'extra_specs': {},
        'created_at': clock.now(),
    }
    request.database.write(
        lambda connection: _insert(connection, flavor_id, name, values)
    )
    return _make_response(request, get_flavor(request, flavor_id))


def _insert(
    connection: Connection, flavor_id: str, name: str, values: Document
) -> None:
    if flavors.get(connection, flavor_id) is not None:
        raise exception.FlavorExists(flavor_id=flavor_id)
    if flavors.get_by_name(connection, name) is not None:
        raise exception.FlavorNameExists(name=name)
    try:
        flavors.insert(connection, values)
    except db_exception.DBDuplicateEntry as error:
        # Another request created it after the check.
        raise exception.FlavorExists(flavor_id=flavor_id) from error


def update(request: ApiRequest, flavor_id: str) -> Document:
    """Update the description of a flavor."""
    changes = {'description': request.body['flavor']['description']}

    def work(connection: Connection) -> None:
        flavor = flavor_lookup.get_visible(connection, request, flavor_id)
        flavors.update(connection, flavor.id, changes)

    request.database.write(work)
    return _make_response(request, get_flavor(request, flavor_id))


def delete(request: ApiRequest, flavor_id: str) -> None:
    """Delete a flavor."""

    def work(connection: Connection) -> None:
        flavor = flavor_lookup.get_visible(
            connection, request, flavor_id, lock=True
        )
        flavors.delete(connection, flavor.id)

    request.database.write(work)


# -- helpers ----------------------------------------------------------------


def _make_response(request: ApiRequest, flavor: Flavor) -> Document:
    specs = _shows_specs(request)
    return {
        'flavor': views.detail(flavor, request.version, request.links, specs)
    }


def _shows_specs(request: ApiRequest) -> bool:
    return request.version >= 61 and request.allows(_SPECS)


def _list(
    request: ApiRequest, path: str, view: Callable[[Flavor], Document]
) -> Document:
    found = pagination.after_marker(
        request,
        _sort(request, _read_filtered(request)),
        lambda flavor: flavor.flavorid,
    )
    page, links = pagination.paginate(
        request, path, found, lambda flavor: flavor.flavorid
    )
    return pagination.make_list('flavors', [view(one) for one in page], links)


def _read_filtered(request: ApiRequest) -> list[Flavor]:
    # There are few flavors, so filters in Python are fast enough.
    found, granted = request.database.read(
        lambda connection: (
            flavors.list_all(connection),
            _read_granted(connection, request),
        )
    )
    name = user_regex.compile_pattern(request.query.get('name', ''))
    public: bool | None = True
    if request.allows(flavor_lookup.RULE):
        public = request.query.get('is_public', True)
    return [
        flavor
        for flavor in found
        if (
            public in (None, flavor.is_public)
            or (public and flavor.id in granted)
        )
        and not flavor.disabled
        and flavor.memory_mb >= request.query.get('minRam', 0)
        and flavor.root_gb >= request.query.get('minDisk', 0)
        and name.search(flavor.name)
    ]


def _read_granted(
    connection: Connection, request: ApiRequest
) -> frozenset[int]:
    project = request.context.project_id
    if not project:
        return frozenset()
    return flavors.list_ids_for_project(connection, project)


def _sort(request: ApiRequest, found: list[Flavor]) -> list[Flavor]:
    name = _SORT_KEYS[request.query.get('sort_key', 'flavorid')]
    if name == 'rxtx_factor' and request.version >= schemas.PLAIN_SINCE:
        raise exception.InvalidInput(
            'Invalid input for query parameter sort_key: flavors have no '
            f'rxtx_factor from 2.{schemas.PLAIN_SINCE} on.'
        )
    descending = request.query.get('sort_dir') == 'desc'

    def key(flavor: Flavor) -> tuple[str | int, int]:
        value: str | int | None = getattr(flavor, name)
        return ('' if value is None else value, flavor.id)

    return sorted(found, key=key, reverse=descending)


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
)
