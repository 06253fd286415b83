# SPDX-License-Identifier: Apache-2.0
"""The embedded Identity v3 over HTTP: read-only lists.

A member sees itself, its projects and the catalog; an administrator sees
everything. There are no changes.
"""

from collections.abc import Callable
from collections.abc import Iterable
import dataclasses

import falcon

from minova import conf
from minova import exception
from minova.identity import embedded
from minova.identity import http_io
from minova.identity import records
from minova.identity.http_io import Document


def _is_never_visible(caller: http_io.Caller, row: Document) -> bool:
    return False


@dataclasses.dataclass(frozen=True)
class ResourceType:
    """A listed type of resource."""

    plural: str
    singular: str
    rows: Callable[[embedded.Identity, str], Iterable[Document]]
    """Return the rows, from the store and the base URL."""

    is_visible: Callable[[http_io.Caller, Document], bool] = _is_never_visible
    """Return whether a caller who is no administrator sees a row."""

    is_listable: bool = False
    """Whether a caller who is no administrator may list the visible rows."""


def routes(store: embedded.Identity) -> list[tuple[str, object]]:
    """Return URI templates and their falcon resources."""
    found: list[tuple[str, object]] = []
    for resource_type in RESOURCE_TYPES:
        base = f'/identity/v3/{resource_type.plural}'
        found.append((base, Collection(store, resource_type)))
        found.append((f'{base}/{{row_id}}', Member(store, resource_type)))
    return [
        *found,
        ('/identity/v3/auth/projects', OwnProjects(store)),
        ('/identity/v3/users/{row_id}/projects', UserProjects(store)),
        ('/identity/v3/role_assignments', RoleAssignments(store)),
    ]


class Collection:
    """The collection of a type."""

    def __init__(
        self, store: embedded.Identity, resource_type: ResourceType
    ) -> None:
        self._store = store
        self._resource_type = resource_type

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the rows; a parameter with the name of a field is a filter."""
        caller = http_io.get_caller(req)
        resource_type = self._resource_type
        if not (caller.is_admin or resource_type.is_listable):
            raise exception.Forbidden(
                action=f'identity:list_{resource_type.plural}'
            )
        _send_list(
            req,
            resp,
            resource_type.plural,
            resource_type.rows(self._store, http_io.get_base_url(req)),
        )


class Member:
    """One row of a type."""

    def __init__(
        self, store: embedded.Identity, resource_type: ResourceType
    ) -> None:
        self._store = store
        self._resource_type = resource_type

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, row_id: str
    ) -> None:
        """Show the row."""
        caller = http_io.get_caller(req)
        resource_type = self._resource_type
        base_url = http_io.get_base_url(req)
        found = {
            row['id']: row for row in resource_type.rows(self._store, base_url)
        }
        row = found.get(row_id)
        if not (
            caller.is_admin or (row and resource_type.is_visible(caller, row))
        ):
            # Same status for an unknown row, so that members cannot probe ids.
            raise exception.Forbidden(
                action=f'identity:get_{resource_type.singular}'
            )
        if row is None:
            raise exception.NotFound(
                f'Could not find {resource_type.singular}: {row_id[:64]}.'
            )
        _link(
            row,
            f'{base_url}/identity/v3/{resource_type.plural}/{row_id}',
        )
        resp.media = {resource_type.singular: row}


class OwnProjects:
    """The projects for which the caller can get a token."""

    def __init__(self, store: embedded.Identity) -> None:
        self._store = store

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the projects."""
        found = self._store.projects_of(http_io.get_caller(req).user_id)
        _send_list(req, resp, 'projects', map(_project, found))


class UserProjects:
    """The projects of a user."""

    def __init__(self, store: embedded.Identity) -> None:
        self._store = store

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, row_id: str
    ) -> None:
        """List the projects, for the user or an administrator."""
        caller = http_io.get_caller(req)
        if not caller.is_admin and caller.user_id != row_id:
            raise exception.Forbidden(action='identity:list_user_projects')
        if self._store.find_user(row_id) is None:
            raise exception.NotFound(f'Could not find user: {row_id[:64]}.')
        found = self._store.projects_of(row_id)
        _send_list(req, resp, 'projects', map(_project, found))


class RoleAssignments:
    """The roles of users on projects."""

    def __init__(self, store: embedded.Identity) -> None:
        self._store = store

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List them, for an administrator; ``include_names`` adds names."""
        if not http_io.get_caller(req).is_admin:
            raise exception.Forbidden(action='identity:list_role_assignments')
        wanted = {
            'user_id': req.params.get('user.id'),
            'project_id': req.params.get('scope.project.id'),
            'role_id': req.params.get('role.id'),
        }
        named = req.params.get('include_names', 'false') not in ('false', '0')
        base_url = http_io.get_base_url(req)
        resp.media = {
            'role_assignments': [
                self._row(one, base_url, named)
                for one in self._store.accounts.assignments
                if all(
                    value in (None, getattr(one, field))
                    for field, value in wanted.items()
                )
            ],
            'links': _links(req),
        }

    def _row(
        self,
        one: records.RoleAssignment,
        base_url: str,
        named: bool,
    ) -> Document:
        known = self._store.accounts
        user: Document = {'id': one.user_id}
        project: Document = {'id': one.project_id}
        role: Document = {'id': one.role_id}
        if named:
            role['name'] = known.roles[one.role_id].name
            for shown, full in (
                (user, known.users[one.user_id]),
                (project, known.projects[one.project_id]),
            ):
                domain = known.domains[full.domain_id]
                shown['name'] = full.name
                shown['domain'] = dataclasses.asdict(domain)
        return {
            'user': user,
            'scope': {'project': project},
            'role': role,
            'links': {
                'assignment': f'{base_url}/identity/v3/projects/'
                f'{one.project_id}/users/{one.user_id}/roles/{one.role_id}'
            },
        }


def _send_list(
    req: falcon.Request,
    resp: falcon.Response,
    plural: str,
    rows: Iterable[Document],
) -> None:
    """Reply with the rows that match the query."""
    found = [row for row in rows if http_io.matches(row, req.params)]
    base_url = http_io.get_base_url(req)
    for row in found:
        _link(row, f'{base_url}/identity/v3/{plural}/{row["id"]}')
    resp.media = {plural: found, 'links': _links(req)}


def _link(row: Document, url: str) -> None:
    row['links'] = {'self': url}


def _links(req: falcon.Request) -> Document:
    path = req.relative_uri.removeprefix(req.root_path)
    return {
        'self': http_io.get_base_url(req) + path,
        'previous': None,
        'next': None,
    }


def _project(project: records.Project) -> Document:
    return {
        'id': project.id,
        'name': project.name,
        'domain_id': project.domain_id,
        'description': project.description,
        'enabled': True,
        'is_domain': False,
        'parent_id': project.domain_id,
        'options': {},
        'tags': [],
    }


def _projects(store: embedded.Identity, _base_url: str) -> Iterable[Document]:
    return map(_project, store.accounts.projects.values())


def _users(store: embedded.Identity, _base_url: str) -> Iterable[Document]:
    return (
        {
            'id': user.id,
            'name': user.name,
            'domain_id': user.domain_id,
            'enabled': True,
            'options': {},
            'password_expires_at': None,
        }
        for user in store.accounts.users.values()
    )


def _domains(store: embedded.Identity, _base_url: str) -> Iterable[Document]:
    return (
        {
            'id': domain.id,
            'name': domain.name,
            'description': '',
            'enabled': True,
            'options': {},
            'tags': [],
        }
        for domain in store.accounts.domains.values()
    )


def _roles(store: embedded.Identity, _base_url: str) -> Iterable[Document]:
    return (
        {
            'id': role.id,
            'name': role.name,
            'domain_id': None,
            'description': None,
            'options': {},
        }
        for role in store.accounts.roles.values()
    )


def _services(store: embedded.Identity, base_url: str) -> Iterable[Document]:
    return (
        {
            'id': service['id'],
            'type': service['type'],
            'name': service['name'],
            'description': '',
            'enabled': True,
        }
        for service in store.catalog(base_url)
    )


def _endpoints(store: embedded.Identity, base_url: str) -> Iterable[Document]:
    return (
        {**endpoint, 'service_id': service['id'], 'enabled': True}
        for service in store.catalog(base_url)
        for endpoint in service['endpoints']
    )


def _regions(_store: embedded.Identity, _base_url: str) -> Iterable[Document]:
    yield {
        'id': conf.CONF.identity.region,
        'description': '',
        'parent_region_id': None,
    }


def _any_caller(_caller: http_io.Caller, _row: Document) -> bool:
    return True


RESOURCE_TYPES = (
    ResourceType(
        'projects',
        'project',
        _projects,
        is_visible=lambda caller, row: row['id'] == caller.project_id,
    ),
    ResourceType(
        'users',
        'user',
        _users,
        is_visible=lambda caller, row: row['id'] == caller.user_id,
    ),
    ResourceType('domains', 'domain', _domains, is_visible=_any_caller),
    ResourceType('roles', 'role', _roles),
    ResourceType('services', 'service', _services),
    ResourceType('endpoints', 'endpoint', _endpoints),
    ResourceType(
        'regions', 'region', _regions, is_visible=_any_caller, is_listable=True
    ),
)
