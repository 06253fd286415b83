# SPDX-License-Identifier: Apache-2.0
"""The extra specs of a flavor: what hosts and hypervisors are told by it."""

from typing import Any
from typing import Final

from minova import exception
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.resources import flavor_lookup
from minova.api.resources import flavors as flavor_routes
from minova.api.schemas import flavors as schemas
from minova.db.connections.engine import Connection
from minova.db.queries import flavors
from minova.extra_specs import parser

Specs = dict[str, str]


def index(request: ApiRequest, flavor_id: str) -> Any:
    """List them."""
    return {
        'extra_specs': flavor_routes.get_flavor(request, flavor_id).extra_specs
    }


def show(request: ApiRequest, flavor_id: str, key: str) -> Any:
    """Show one."""
    found = flavor_routes.get_flavor(request, flavor_id).extra_specs
    _require(flavor_id, found, key)
    return {key: found[key]}


def create(request: ApiRequest, flavor_id: str) -> Any:
    """Add some, in place of those of the same names."""
    given = _parse_specs(request, request.body['extra_specs'])
    _write(request, flavor_id, lambda old: old | given)
    return {'extra_specs': given}


def update(request: ApiRequest, flavor_id: str, key: str) -> Any:
    """Set one, which the body must name as the URL does."""
    given = _parse_specs(request, request.body)
    if list(given) != [key]:
        raise exception.InvalidInput('Request body and URI mismatch')
    _write(request, flavor_id, lambda old: old | given)
    return given


def delete(request: ApiRequest, flavor_id: str, key: str) -> None:
    """Remove one."""

    def without(old: Specs) -> Specs:
        _require(flavor_id, old, key)
        return {name: old[name] for name in old if name != key}

    _write(request, flavor_id, without)


def _parse_specs(request: ApiRequest, specs: dict[str, Any]) -> Specs:
    """Return what is to be written; from 2.86 on it must have an effect.

    Before, it is refused when a server is to be made with it.
    """
    given = {name: str(specs[name]) for name in specs}
    if request.version >= _VALIDATED_SINCE:
        parser.validate_extra_specs(given)
    return given


def _require(flavor_id: str, specs: Specs, key: str) -> None:
    if key not in specs:
        raise exception.NotFound(
            f'Flavor {flavor_id} has no extra specs with key {key[:64]}.'
        )


def _write(request: ApiRequest, flavor_id: str, change: Any) -> None:
    def work(connection: Connection) -> None:
        flavor = flavor_lookup.get_visible(connection, request, flavor_id)
        changed = {'extra_specs': change(flavor.extra_specs)}
        flavors.update(connection, flavor.id, changed)

    request.database.write(work)


#: The version from which on extra specs are looked at when written.
_VALIDATED_SINCE: Final = 86
_RULE: Final = 'os_compute_api:os-flavor-extra-specs'
_ALL: Final = '/flavors/{flavor_id}/os-extra_specs'
_ONE: Final = f'{_ALL}/{{key}}'
ROUTES: Final = (
    Route('GET', _ALL, index, f'{_RULE}:index'),
    Route('POST', _ALL, create, f'{_RULE}:create', body=schemas.SPECS),
    Route('GET', _ONE, show, f'{_RULE}:show'),
    Route('PUT', _ONE, update, f'{_RULE}:update', body=schemas.SPEC),
    Route('DELETE', _ONE, delete, f'{_RULE}:delete'),
)
