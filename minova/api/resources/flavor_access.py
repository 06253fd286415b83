# SPDX-License-Identifier: Apache-2.0
"""The access list of a flavor: the projects that may use it.

The list of a public flavor has no effect. Before 2.7 a project can be added
to it all the same. A change of the list does not affect existing servers.
"""

from typing import Final

from minova import exception
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.resources import flavor_lookup
from minova.api.schemas import bodies
from minova.api.schemas import flavors as schemas
from minova.api.views import Document
from minova.db.connections.engine import Connection
from minova.db.queries import flavors
from minova.objects.flavor import Flavor


def index(request: ApiRequest, flavor_id: str) -> Document:
    """List the projects with access to a flavor that is not public."""

    def work(connection: Connection) -> list[str]:
        flavor = flavor_lookup.get_visible(connection, request, flavor_id)
        if flavor.is_public:
            raise exception.NotFound(
                'Access list not available for public flavors.'
            )
        return flavors.list_projects(connection, flavor.id)

    return _make_response(flavor_id, request.database.read(work))


def run_action(request: ApiRequest, flavor_id: str) -> Document:
    """Run the action that the single key of the body names."""
    name = bodies.get_action_name(request.body, ACTIONS)
    rule, schema, change = ACTIONS[name]
    request.require(rule)
    schema.validate(request.body, request.version)
    project = request.body[name]['tenant']

    def work(connection: Connection) -> list[str]:
        flavor = flavor_lookup.get_visible(
            connection, request, flavor_id, lock=True
        )
        change(connection, request, flavor, project)
        return flavors.list_projects(connection, flavor.id)

    return _make_response(flavor_id, request.database.write(work))


def _add(
    connection: Connection, request: ApiRequest, flavor: Flavor, project: str
) -> None:
    if flavor.is_public and request.version >= _PRIVATE_ONLY_SINCE:
        raise exception.Conflict('Can not add access to a public flavor.')
    if flavors.has_access(connection, flavor.id, project):
        raise exception.FlavorAccessExists(
            flavor_id=flavor.flavorid, project_id=project
        )
    flavors.add_access(connection, flavor.id, project)


def _remove(
    connection: Connection, request: ApiRequest, flavor: Flavor, project: str
) -> None:
    if not flavors.has_access(connection, flavor.id, project):
        raise exception.FlavorAccessNotFound(
            flavor_id=flavor.flavorid, project_id=project
        )
    flavors.remove_access(connection, flavor.id, project)


def _make_response(flavor_id: str, projects: list[str]) -> Document:
    return {
        'flavor_access': [
            {'flavor_id': flavor_id, 'tenant_id': project}
            for project in projects
        ]
    }


#: The version since which a public flavor has no access list.
_PRIVATE_ONLY_SINCE: Final = 7
_RULE: Final = flavor_lookup.RULE
ACTIONS: Final = {
    'addTenantAccess': (
        f'{_RULE}:add_tenant_access',
        schemas.ADD_ACCESS,
        _add,
    ),
    'removeTenantAccess': (
        f'{_RULE}:remove_tenant_access',
        schemas.REMOVE_ACCESS,
        _remove,
    ),
}
ROUTES: Final = (
    Route('GET', '/flavors/{flavor_id}/os-flavor-access', index, _RULE),
    Route(
        'POST',
        '/flavors/{flavor_id}/action',
        run_action,
        None,  # each action has its own
        body=bodies.ANY,
    ),
)
