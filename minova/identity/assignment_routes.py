# SPDX-License-Identifier: Apache-2.0
"""The embedded Identity v3 over HTTP: the roles of users on projects."""

from collections.abc import Iterator

import falcon

from minova.identity import account_routes
from minova.identity import changes
from minova.identity import embedded
from minova.identity import http_io
from minova.identity import records
from minova.identity import resource_types
from minova.identity.http_io import Document


def routes(store: embedded.Identity) -> list[tuple[str, object]]:
    """Return URI templates and their falcon resources."""
    base = '/identity/v3'
    held = f'{base}/projects/{{row_id}}/users/{{user_id}}/roles'
    return [
        (f'{base}/auth/projects', OwnProjects(store)),
        (f'{base}/users/{{row_id}}/projects', UserProjects(store)),
        (f'{base}/role_assignments', RoleAssignments(store)),
        (held, UserRoles(store)),
        (f'{held}/{{role_id}}', UserRole(store)),
    ]


class OwnProjects:
    """The projects for which the caller can get a token."""

    def __init__(self, store: embedded.Identity) -> None:
        self._store = store

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the enabled projects."""
        caller = http_io.require(req, 'identity:get_auth_projects')
        found = self._store.accounts.projects_of(caller.user_id)
        rows = (
            account_routes.project_document(one)
            for one in found
            if one.enabled
        )
        resource_types.send_list(req, resp, 'projects', rows)


class UserProjects:
    """The projects of a user."""

    def __init__(self, store: embedded.Identity) -> None:
        self._store = store

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, row_id: str
    ) -> None:
        """List the projects, for the user or an administrator."""
        http_io.require(req, 'identity:list_user_projects', user_id=row_id)
        accounts = self._store.accounts
        changes.find(accounts.users, 'user', row_id)
        rows = map(
            account_routes.project_document, accounts.projects_of(row_id)
        )
        resource_types.send_list(req, resp, 'projects', rows)


class UserRoles:
    """The roles of a user on a project, without implied ones."""

    def __init__(self, store: embedded.Identity) -> None:
        self._store = store

    def on_get(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        row_id: str,
        user_id: str,
    ) -> None:
        """List the roles, for an administrator."""
        http_io.require(req, 'identity:list_grants')
        accounts = self._store.accounts
        changes.find(accounts.projects, 'project', row_id)
        changes.find(accounts.users, 'user', user_id)
        rows = map(
            account_routes.role_document,
            accounts.assigned_roles(user_id, row_id),
        )
        resource_types.send_list(req, resp, 'roles', rows)


class UserRole:
    """One role of a user on a project."""

    def __init__(self, store: embedded.Identity) -> None:
        self._store = store

    def on_put(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        row_id: str,
        user_id: str,
        role_id: str,
    ) -> None:
        """Assign the role."""
        http_io.require(req, 'identity:create_grant')
        self._store.change(
            lambda accounts: changes.grant(accounts, user_id, row_id, role_id)
        )
        resp.status = falcon.HTTP_204

    def on_delete(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        row_id: str,
        user_id: str,
        role_id: str,
    ) -> None:
        """Remove the assignment."""
        http_io.require(req, 'identity:revoke_grant')
        self._store.change(
            lambda accounts: changes.revoke(accounts, user_id, row_id, role_id)
        )
        resp.status = falcon.HTTP_204

    def on_get(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        row_id: str,
        user_id: str,
        role_id: str,
    ) -> None:
        """Check the assignment: 204, or 404."""
        http_io.require(req, 'identity:check_grant')
        accounts = self._store.accounts
        wanted = changes.find_assignment(accounts, user_id, row_id, role_id)
        changes.require_assigned(accounts, wanted)
        resp.status = falcon.HTTP_204

    on_head = on_get


class RoleAssignments:
    """The roles of users on projects."""

    def __init__(self, store: embedded.Identity) -> None:
        self._store = store

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List them, for an administrator.

        ``include_names`` adds names; ``effective`` adds implied roles. There
        are no assignments of groups, and none on domains or the system.
        """
        http_io.require(req, 'identity:list_role_assignments')
        params = req.params
        wanted = {
            'user_id': params.get('user.id'),
            'project_id': params.get('scope.project.id'),
            'role_id': params.get('role.id'),
        }
        none = ('group.id', 'scope.domain.id', 'scope.system')
        accounts = self._store.accounts
        base_url = http_io.get_base_url(req)
        rows = _expand(accounts, _has_flag(req, 'effective'))
        resp.media = {
            'role_assignments': [
                _assignment(
                    accounts,
                    one,
                    prior,
                    base_url,
                    _has_flag(req, 'include_names'),
                )
                for one, prior in rows
                if not any(name in params for name in none)
                and all(
                    value in (None, getattr(one, field))
                    for field, value in wanted.items()
                )
            ],
            'links': resource_types.list_links(req),
        }


def _has_flag(req: falcon.Request, name: str) -> bool:
    value = req.params.get(name, 'false')
    return not (isinstance(value, str) and value.lower() in ('false', '0'))


def _expand(
    accounts: records.Accounts, effective: bool
) -> Iterator[tuple[records.RoleAssignment, str | None]]:
    """Yield the assignments and, of implied ones, the role that implies it."""
    ids = {role.name: role.id for role in accounts.roles.values()}
    for one in accounts.assignments:
        yield one, None
        name = accounts.roles[one.role_id].name
        for implied in records.IMPLIED_ROLES.get(name, ()):
            if effective and implied in ids:
                yield (
                    records.RoleAssignment(
                        one.user_id, one.project_id, ids[implied]
                    ),
                    one.role_id,
                )


def _assignment(
    accounts: records.Accounts,
    one: records.RoleAssignment,
    prior_role_id: str | None,
    base_url: str,
    named: bool,
) -> Document:
    user: Document = {'id': one.user_id}
    project: Document = {'id': one.project_id}
    role: Document = {'id': one.role_id}
    if named:
        role['name'] = accounts.roles[one.role_id].name
        for shown, full in (
            (user, accounts.users[one.user_id]),
            (project, accounts.projects[one.project_id]),
        ):
            domain = accounts.domains[full.domain_id]
            shown['name'] = full.name
            shown['domain'] = {'id': domain.id, 'name': domain.name}
    root = f'{base_url}/identity/v3'
    assigned_id = prior_role_id or one.role_id
    links = {
        'assignment': f'{root}/projects/{one.project_id}/users/'
        f'{one.user_id}/roles/{assigned_id}'
    }
    if prior_role_id:
        links['prior_role'] = f'{root}/prior_role/{assigned_id}/implies/' + (
            one.role_id
        )
    return {
        'user': user,
        'scope': {'project': project},
        'role': role,
        'links': links,
    }
