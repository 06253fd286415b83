# SPDX-License-Identifier: Apache-2.0
"""The extra specs of a flavor: requirements for hosts and hypervisors."""

from collections.abc import Callable
from typing import Final

from minova import exception
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.resources import flavor_lookup
from minova.api.resources import flavors as flavor_routes
from minova.api.schemas import flavors as schemas
from minova.api.schemas.types import Json
from minova.api.views import Document
from minova.db.connections.engine import Connection
from minova.db.queries import flavors
from minova.extra_specs import parser

Specs = dict[str, str]


def index(request: ApiRequest, flavor_id: str) -> Document:
    """List the extra specs."""
    return {
        'extra_specs': flavor_routes.get_flavor(request, flavor_id).extra_specs
    }


def show(request: ApiRequest, flavor_id: str, key: str) -> Document:
    """Show one extra spec."""
    found = flavor_routes.get_flavor(request, flavor_id).extra_specs
    _require(flavor_id, found, key)
    return {key: found[key]}


def create(request: ApiRequest, flavor_id: str) -> Document:
    """Add extra specs; existing keys get the new values."""
    given = _parse_specs(request, request.body['extra_specs'])
    _write(request, flavor_id, lambda old: old | given)
    return {'extra_specs': given}


def update(request: ApiRequest, flavor_id: str, key: str) -> Document:
    """Set one extra spec; its key is in the body and in the URL."""
    given = _parse_specs(request, request.body)
    if list(given) != [key]:
        raise exception.InvalidInput('Request body and URI mismatch')
    _write(request, flavor_id, lambda old: old | given)
    return dict(given)


def delete(request: ApiRequest, flavor_id: str, key: str) -> None:
    """Delete one extra spec."""

    def without(old: Specs) -> Specs:
        _require(flavor_id, old, key)
        return {name: old[name] for name in old if name != key}

    _write(request, flavor_id, without)


def _parse_specs(request: ApiRequest, specs: Json) -> Specs:
    """Return the specs; from 2.86 on each must be known and valid.

    Before 2.86 the creation of a server validates them.
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


def _write(
    request: ApiRequest, flavor_id: str, change: Callable[[Specs], Specs]
) -> None:
    def work(connection: Connection) -> None:
        flavor = flavor_lookup.get_visible(
            connection, request, flavor_id, lock=True
        )
        changed = {'extra_specs': change(flavor.extra_specs)}
        flavors.update(connection, flavor.id, changed)

    request.database.write(work)


#: The version since which a write validates extra specs.
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
