# SPDX-License-Identifier: Apache-2.0
"""Changes of the accounts: each makes new accounts of old ones.

A change raises NotFound for an unknown id, Conflict for a taken name and
Forbidden for what the cloud cannot do without: the account of clouds.yaml and
the roles that policies name. The callers have validated the values.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any
from typing import Final
from typing import TypeVar

from minova import exception
from minova.identity.records import Accounts
from minova.identity.records import ADMIN
from minova.identity.records import ApplicationCredential
from minova.identity.records import DEFAULT_DOMAIN
from minova.identity.records import new_id
from minova.identity.records import Project
from minova.identity.records import Role
from minova.identity.records import RoleAssignment
from minova.identity.records import ROLES
from minova.identity.records import User

Row = TypeVar('Row', Project, User, Role, ApplicationCredential)
Values = Mapping[str, Any]

#: The largest number of rows of a type, and of assignments.
_MAX_ROWS: Final = 10000
_MAX_ASSIGNMENTS: Final = 100000


def find(rows: Mapping[str, Row], singular: str, row_id: str) -> Row:
    """Return a row; raise NotFound."""
    row = rows.get(row_id)
    if row is None:
        raise exception.NotFound(f'Could not find {singular}: {row_id[:64]}.')
    return row


# -- projects -----------------------------------------------------------------


def create_project(
    accounts: Accounts, values: Values
) -> tuple[Accounts, Project]:
    """Add a project."""
    project = Project(id=new_id(), **_in_domain(accounts, values))
    return _save(accounts, 'project', project)


def update_project(
    accounts: Accounts, project_id: str, values: Values
) -> tuple[Accounts, Project]:
    """Change a project; disabling it revokes its tokens."""
    old = find(accounts.projects, 'project', project_id)
    project = _replace(old, values)
    if old.name == ADMIN and (project.name != ADMIN or not project.enabled):
        raise _needed('project')
    if not project.enabled:
        project = dataclasses.replace(project, generation=old.generation + 1)
    return _save(accounts, 'project', project)


def delete_project(
    accounts: Accounts, project_id: str
) -> tuple[Accounts, None]:
    """Remove a project, its assignments and its application credentials."""
    if find(accounts.projects, 'project', project_id).name == ADMIN:
        raise _needed('project')
    users = {
        user.id: dataclasses.replace(user, default_project_id=None)
        if user.default_project_id == project_id
        else user
        for user in accounts.users.values()
    }
    return dataclasses.replace(
        accounts,
        projects=_without_row(accounts.projects, project_id),
        users=users,
        assignments=tuple(
            one for one in accounts.assignments if one.project_id != project_id
        ),
        credentials={
            one.id: one
            for one in accounts.credentials.values()
            if one.project_id != project_id
        },
    ), None


# -- users --------------------------------------------------------------------


def create_user(accounts: Accounts, values: Values) -> tuple[Accounts, User]:
    """Add a user; ``password`` is a hash or None."""
    user = User(id=new_id(), **_in_domain(accounts, values))
    _require_default_project(accounts, user)
    return _save(accounts, 'user', user)


def update_user(
    accounts: Accounts, user_id: str, values: Values
) -> tuple[Accounts, User]:
    """Change a user; disabling it and another password revoke its tokens."""
    old = find(accounts.users, 'user', user_id)
    user = _replace(old, values)
    if old.name == ADMIN and (
        user.name != ADMIN or not user.enabled or user.password is None
    ):
        raise _needed('user')
    if not user.enabled or user.password != old.password:
        user = dataclasses.replace(user, generation=old.generation + 1)
    _require_default_project(accounts, user)
    return _save(accounts, 'user', user)


def delete_user(accounts: Accounts, user_id: str) -> tuple[Accounts, None]:
    """Remove a user, its assignments and its application credentials."""
    if find(accounts.users, 'user', user_id).name == ADMIN:
        raise _needed('user')
    return dataclasses.replace(
        accounts,
        users=_without_row(accounts.users, user_id),
        assignments=tuple(
            one for one in accounts.assignments if one.user_id != user_id
        ),
        credentials={
            one.id: one
            for one in accounts.credentials.values()
            if one.user_id != user_id
        },
    ), None


def _require_default_project(accounts: Accounts, user: User) -> None:
    if user.default_project_id is not None:
        find(accounts.projects, 'project', user.default_project_id)


# -- roles --------------------------------------------------------------------


def create_role(accounts: Accounts, values: Values) -> tuple[Accounts, Role]:
    """Add a role."""
    role = Role(id=new_id(), **values)
    return _save(accounts, 'role', role)


def update_role(
    accounts: Accounts, role_id: str, values: Values
) -> tuple[Accounts, Role]:
    """Change a role that no policy names."""
    role = dataclasses.replace(_find_own_role(accounts, role_id), **values)
    return _save(accounts, 'role', role)


def delete_role(accounts: Accounts, role_id: str) -> tuple[Accounts, None]:
    """Remove a role that no policy names, and its assignments."""
    _find_own_role(accounts, role_id)
    return dataclasses.replace(
        accounts,
        roles=_without_row(accounts.roles, role_id),
        assignments=tuple(
            one for one in accounts.assignments if one.role_id != role_id
        ),
    ), None


def _find_own_role(accounts: Accounts, role_id: str) -> Role:
    role = find(accounts.roles, 'role', role_id)
    if role.name in ROLES:
        raise exception.Forbidden(
            f'The role {role.name} is immutable: the policies of the services '
            'name it.'
        )
    return role


# -- assignments --------------------------------------------------------------


def find_assignment(
    accounts: Accounts, user_id: str, project_id: str, role_id: str
) -> RoleAssignment:
    """Return an assignment, which may not exist yet; raise NotFound."""
    return RoleAssignment(
        find(accounts.users, 'user', user_id).id,
        find(accounts.projects, 'project', project_id).id,
        find(accounts.roles, 'role', role_id).id,
    )


def require_assigned(accounts: Accounts, wanted: RoleAssignment) -> None:
    """Raise NotFound for an assignment that does not exist."""
    if wanted not in accounts.assignments:
        raise exception.NotFound('Could not find role assignment.')


def grant(
    accounts: Accounts, user_id: str, project_id: str, role_id: str
) -> tuple[Accounts, None]:
    """Assign a role; nothing changes if the user has it."""
    wanted = find_assignment(accounts, user_id, project_id, role_id)
    if wanted in accounts.assignments:
        return accounts, None
    if len(accounts.assignments) >= _MAX_ASSIGNMENTS:
        raise _full('role assignments', _MAX_ASSIGNMENTS)
    assignments = (*accounts.assignments, wanted)
    return dataclasses.replace(accounts, assignments=assignments), None


def revoke(
    accounts: Accounts, user_id: str, project_id: str, role_id: str
) -> tuple[Accounts, None]:
    """Remove an assignment; raise NotFound if there is none."""
    wanted = find_assignment(accounts, user_id, project_id, role_id)
    require_assigned(accounts, wanted)
    names = (
        accounts.users[user_id].name,
        accounts.projects[project_id].name,
        accounts.roles[role_id].name,
    )
    if names == (ADMIN, ADMIN, 'admin'):
        raise exception.Forbidden(
            'The clouds.yaml of this cloud needs the role admin of the user '
            'admin on the project admin.'
        )
    assignments = tuple(one for one in accounts.assignments if one != wanted)
    return dataclasses.replace(accounts, assignments=assignments), None


# -- application credentials --------------------------------------------------


def create_credential(
    accounts: Accounts, values: Values
) -> tuple[Accounts, ApplicationCredential]:
    """Add an application credential; its name is unique for its user."""
    credential = ApplicationCredential(id=new_id(), **values)
    # Another request may have deleted them since the token was validated.
    find(accounts.users, 'user', credential.user_id)
    find(accounts.projects, 'project', credential.project_id)
    for other in accounts.credentials.values():
        if (other.user_id, other.name) == (
            credential.user_id,
            credential.name,
        ):
            raise exception.Conflict(
                'The user has an application credential with the name '
                f'{credential.name}; use another name.'
            )
    credentials = _with_row(
        accounts.credentials, 'application credentials', credential
    )
    return dataclasses.replace(accounts, credentials=credentials), credential


def find_credential(
    accounts: Accounts, user_id: str, credential_id: str
) -> ApplicationCredential:
    """Return an application credential of a user; raise NotFound."""
    own = {
        one.id: one
        for one in accounts.credentials.values()
        if one.user_id == user_id
    }
    return find(own, 'application credential', credential_id)


def delete_credential(
    accounts: Accounts, user_id: str, credential_id: str
) -> tuple[Accounts, None]:
    """Remove an application credential of a user; its tokens end with it."""
    find_credential(accounts, user_id, credential_id)
    credentials = _without_row(accounts.credentials, credential_id)
    return dataclasses.replace(accounts, credentials=credentials), None


# -- rows ---------------------------------------------------------------------


def _in_domain(accounts: Accounts, values: Values) -> dict[str, Any]:
    """Return the values with a domain that exists; raise NotFound."""
    domain_id = values.get('domain_id') or DEFAULT_DOMAIN
    if domain_id not in accounts.domains:
        raise exception.NotFound(f'Could not find domain: {domain_id[:64]}.')
    return {**values, 'domain_id': domain_id}


def _replace(old: Row, values: Values) -> Row:
    """Return a row with other values; None removes an attribute of extra."""
    extra = {**getattr(old, 'extra', {}), **values.get('extra', {})}
    kept = {name: value for name, value in extra.items() if value is not None}
    changed = {k: v for k, v in values.items() if k != 'domain_id'}
    if values.get('domain_id') not in (None, getattr(old, 'domain_id', None)):
        raise exception.InvalidInput(reason='domain_id cannot be changed.')
    return dataclasses.replace(old, **changed | {'extra': kept})


def _save(accounts: Accounts, singular: str, row: Row) -> tuple[Accounts, Row]:
    """Return the accounts with a new or a changed row, and the row.

    Raises Conflict for a taken name and Forbidden for one row too many.
    """
    plural = f'{singular}s'
    rows: Mapping[str, Row] = getattr(accounts, plural)
    _require_unique(rows, singular, row)
    changed: dict[str, Any] = {plural: _with_row(rows, plural, row)}
    return dataclasses.replace(accounts, **changed), row


def _require_unique(rows: Mapping[str, Row], singular: str, row: Row) -> None:
    """Raise Conflict if another row of the domain has the name."""
    key = (row.name, getattr(row, 'domain_id', None))
    for other in rows.values():
        if other.id != row.id and key == (
            other.name,
            getattr(other, 'domain_id', None),
        ):
            raise exception.Conflict(
                f'There is a {singular} with the name {row.name}; use another '
                'name.'
            )


def _with_row(
    rows: Mapping[str, Row], plural: str, row: Row
) -> dict[str, Row]:
    if row.id not in rows and len(rows) >= _MAX_ROWS:
        raise _full(plural, _MAX_ROWS)
    return {**rows, row.id: row}


def _without_row(rows: Mapping[str, Row], row_id: str) -> dict[str, Row]:
    return {one: row for one, row in rows.items() if one != row_id}


def _needed(singular: str) -> exception.Forbidden:
    return exception.Forbidden(
        f'The clouds.yaml of this cloud needs the {singular} admin: it cannot '
        'be deleted, disabled or renamed.'
    )


def _full(plural: str, limit: int) -> exception.Forbidden:
    return exception.Forbidden(
        f'The embedded identity service has at most {limit} {plural}.'
    )
