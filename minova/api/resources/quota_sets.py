# SPDX-License-Identifier: Apache-2.0
"""Quota sets and quota class sets: limits of projects, users and all projects.

The quota class ``default`` has the defaults of every project; another class
has no effect. Key pairs belong to users in all projects, so their usage in a
project is 0.
"""

from typing import Final

from minova import exception
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.schemas import queries
from minova.api.schemas import quotas as schemas
from minova.api.schemas import types
from minova.api.schemas.queries import Param
from minova.api.views import Document
from minova.db.connections.engine import Connection
from minova.quotas import limits


def show(request: ApiRequest, project_id: str) -> Document:
    """Show the limits of a project, or of a user in it."""
    _require_project(request, project_id)
    user = _get_user(request)
    found = request.database.read(
        lambda connection: limits.get_limits(connection, project_id, user)
    )
    return {'quota_set': {'id': project_id, **_shown(request, found)}}


def show_detail(request: ApiRequest, project_id: str) -> Document:
    """Show the limits and the usage of a project, or of a user in it."""
    _require_project(request, project_id)
    user = _get_user(request)
    found, used = request.database.read(
        lambda connection: (
            limits.get_limits(connection, project_id, user),
            limits.get_used(connection, project_id, user),
        )
    )
    result: Document = {'id': project_id}
    for name, limit in _shown(request, found).items():
        in_use = used.get(name, 0)
        result[name] = {'limit': limit, 'in_use': in_use, 'reserved': 0}
    return {'quota_set': result}


def show_defaults(request: ApiRequest, project_id: str) -> Document:
    """Show the default limits, which apply to every project."""
    _require_known(request, project_id)
    found = request.database.read(limits.get_defaults)
    return {'quota_set': {'id': project_id, **_shown(request, found)}}


def update(request: ApiRequest, project_id: str) -> Document:
    """Set limits of a project, or of a user in it."""
    _require_project(request, project_id)
    user = _get_user(request)
    values = schemas.parse_limits(request.body, 'quota_set')
    force = types.to_bool(request.body['quota_set'].get('force', False))

    def work(connection: Connection) -> dict[str, int]:
        limits.change_limits(connection, project_id, user, values, force)
        return limits.get_limits(connection, project_id, user)

    return {'quota_set': _shown(request, request.database.write(work))}


def delete(request: ApiRequest, project_id: str) -> None:
    """Return to the defaults, for a project and its users or for one user."""
    user = _get_user(request)
    request.database.write(
        lambda connection: limits.reset_limits(
            connection, project_id, limits.COMPUTE, user
        )
    )


def show_class(request: ApiRequest, class_name: str) -> Document:
    """Show the limits of a quota class."""
    found = request.database.read(
        lambda connection: limits.get_defaults(connection, class_name)
    )
    return {
        'quota_class_set': {'id': class_name, **_shown_class(request, found)}
    }


def update_class(request: ApiRequest, class_name: str) -> Document:
    """Set limits of a quota class."""
    values = schemas.parse_limits(request.body, 'quota_class_set')

    def work(connection: Connection) -> dict[str, int]:
        limits.change_class(connection, class_name, values)
        return limits.get_defaults(connection, class_name)

    found = request.database.write(work)
    return {'quota_class_set': _shown_class(request, found)}


def _require_project(request: ApiRequest, project_id: str) -> None:
    """Raise Forbidden unless the caller may, InvalidInput if unknown."""
    request.require(str(request.rule), project_id)
    _require_known(request, project_id)


def _require_known(request: ApiRequest, project_id: str) -> None:
    if not request.has_project(project_id):
        raise exception.InvalidInput(
            f'Project ID {project_id[:64]} is not a valid project.'
        )


def _get_user(request: ApiRequest) -> str | None:
    """Return the user of the request, the first one of several."""
    users: list[str] = request.query.get('user_id', [])
    return users[0] if users and users[0] else None


def _shown(request: ApiRequest, found: dict[str, int]) -> dict[str, int]:
    names = schemas.get_names(request.version, schemas.SET_NETWORK_UNTIL, 1)
    return {name: found.get(name, limits.UNLIMITED) for name in names}


def _shown_class(request: ApiRequest, found: dict[str, int]) -> dict[str, int]:
    names = schemas.get_names(
        request.version,
        schemas.CLASS_NETWORK_UNTIL,
        schemas.CLASS_GROUPS_SINCE,
    )
    return {name: found.get(name, limits.UNLIMITED) for name in names}


_RULE: Final = 'os_compute_api:os-quota-sets'
_ONE: Final = '/os-quota-sets/{project_id}'
_QUERY: Final = queries.QuerySchema(
    {'user_id': Param(is_repeatable=True)}, strict_since=75
)
_CLASS_RULE: Final = 'os_compute_api:os-quota-class-sets'
_CLASS: Final = '/os-quota-class-sets/{class_name}'
ROUTES: Final = (
    Route('GET', _ONE, show, f'{_RULE}:show', query=_QUERY),
    Route(
        'GET', f'{_ONE}/detail', show_detail, f'{_RULE}:detail', query=_QUERY
    ),
    Route('GET', f'{_ONE}/defaults', show_defaults, f'{_RULE}:defaults'),
    Route(
        'PUT',
        _ONE,
        update,
        f'{_RULE}:update',
        query=_QUERY,
        body=schemas.UPDATE_SET,
    ),
    Route('DELETE', _ONE, delete, f'{_RULE}:delete', 202, query=_QUERY),
    Route('GET', _CLASS, show_class, f'{_CLASS_RULE}:show'),
    Route(
        'PUT',
        _CLASS,
        update_class,
        f'{_CLASS_RULE}:update',
        body=schemas.UPDATE_CLASS,
    ),
)
