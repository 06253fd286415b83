# SPDX-License-Identifier: Apache-2.0
"""The embedded Identity v3 over HTTP: domains, projects, users, roles.

There are no groups of users, so their list is empty.
"""

from collections.abc import Callable
from collections.abc import Iterable
import functools
from typing import Any
from typing import Final
from typing import TypeVar

import falcon

from minova import exception
from minova.identity import changes
from minova.identity import embedded
from minova.identity import http_io
from minova.identity import records
from minova.identity import resource_types
from minova.identity import schemas
from minova.identity.http_io import Document
from minova.identity.resource_types import Editor
from minova.identity.resource_types import ResourceType

Row = TypeVar('Row', records.Project, records.User, records.Role)
Values = dict[str, Any]

#: The attributes with a field of their own; others are in ``extra``.
_PROJECT_FIELDS: Final = (
    'name',
    'domain_id',
    'description',
    'enabled',
    'tags',
)
_USER_FIELDS: Final = ('name', 'domain_id', 'enabled', 'default_project_id')


def routes(store: embedded.Identity) -> list[tuple[str, object]]:
    """Return URI templates and their falcon resources."""
    return [
        *resource_types.routes(store, _DOMAINS),
        *resource_types.routes(store, _GROUPS),
        *resource_types.routes(store, _PROJECTS, _PROJECT_EDITOR),
        *resource_types.routes(store, _USERS, _USER_EDITOR),
        *resource_types.routes(store, _ROLES, _ROLE_EDITOR),
        ('/identity/v3/users/{row_id}/password', Password(store)),
    ]


class Password:
    """The password of a user."""

    def __init__(self, store: embedded.Identity) -> None:
        self._store = store

    def on_post(
        self, req: falcon.Request, resp: falcon.Response, row_id: str
    ) -> None:
        """Change the own password; all tokens of the user end."""
        http_io.require(req, 'identity:change_password', user_id=row_id)
        old, new = schemas.read_new_password(http_io.read_json(req))
        self._store.authenticate(self._store.find_user(row_id), old)
        self._store.set_password(row_id, new, {})
        resp.status = falcon.HTTP_204


# -- documents ----------------------------------------------------------------


def project_document(project: records.Project) -> Document:
    """Return a project in Keystone's form."""
    return {
        **project.extra,
        'id': project.id,
        'name': project.name,
        'domain_id': project.domain_id,
        'description': project.description,
        'enabled': project.enabled,
        'is_domain': False,
        'parent_id': project.domain_id,
        'options': {},
        'tags': list(project.tags),
    }


def _user_document(user: records.User) -> Document:
    found: Document = {
        **user.extra,
        'id': user.id,
        'name': user.name,
        'domain_id': user.domain_id,
        'enabled': user.enabled,
        'options': {},
        'password_expires_at': None,
    }
    if user.default_project_id is not None:
        found['default_project_id'] = user.default_project_id
    return found


def role_document(role: records.Role) -> Document:
    """Return a role in Keystone's form."""
    return {
        'id': role.id,
        'name': role.name,
        'domain_id': None,
        'description': role.description,
        'options': {},
    }


def _projects(store: embedded.Identity, _base_url: str) -> Iterable[Document]:
    return map(project_document, store.accounts.projects.values())


def _users(store: embedded.Identity, _base_url: str) -> Iterable[Document]:
    return map(_user_document, store.accounts.users.values())


def _roles(store: embedded.Identity, _base_url: str) -> Iterable[Document]:
    return map(role_document, store.accounts.roles.values())


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


# -- changes ------------------------------------------------------------------


def _split(values: Values, fields: tuple[str, ...]) -> Values:
    """Return the values of a record: its fields, and the others as extra."""
    ignored = ('options', 'is_domain', 'parent_id', 'password')
    found = {name: values[name] for name in fields if name in values}
    extra = {
        name: value
        for name, value in values.items()
        if name not in fields and name not in ignored
    }
    return {**found, 'extra': extra}


def _project_values(values: Values) -> Values:
    parent_id = values.get('parent_id')
    if parent_id not in (None, values.get('domain_id'), 'default'):
        raise exception.InvalidInput(
            reason=(
                'parent_id must be the domain: the embedded identity service '
                'has no nested projects.'
            )
        )
    found = _split(values, _PROJECT_FIELDS)
    if 'description' in found:
        found['description'] = found['description'] or ''
    if 'tags' in found:
        found['tags'] = tuple(found['tags'])
    return found


def _role_values(values: Values) -> Values:
    return {
        name: values[name]
        for name in ('name', 'description')
        if name in values
    }


def _create_user(store: embedded.Identity, values: Values) -> Document:
    found = _without_null_extra(_split(values, _USER_FIELDS))
    return _user_document(store.create_user(values.get('password'), found))


def _update_user(
    store: embedded.Identity, user_id: str, values: Values
) -> Document:
    found = _split(values, _USER_FIELDS)
    if 'password' in values:
        user = store.set_password(user_id, values['password'], found)
    else:
        user = store.change(
            functools.partial(
                changes.update_user, user_id=user_id, values=found
            )
        )
    return _user_document(user)


def _create_project(store: embedded.Identity, values: Values) -> Document:
    found = _without_null_extra(_project_values(values))
    return project_document(
        store.change(functools.partial(changes.create_project, values=found))
    )


def _update_project(
    store: embedded.Identity, project_id: str, values: Values
) -> Document:
    return project_document(
        store.change(
            functools.partial(
                changes.update_project,
                project_id=project_id,
                values=_project_values(values),
            )
        )
    )


def _create_role(store: embedded.Identity, values: Values) -> Document:
    found = _role_values(values)
    return role_document(
        store.change(functools.partial(changes.create_role, values=found))
    )


def _update_role(
    store: embedded.Identity, role_id: str, values: Values
) -> Document:
    found = _role_values(values)
    return role_document(
        store.change(
            functools.partial(
                changes.update_role, role_id=role_id, values=found
            )
        )
    )


def _without_null_extra(values: Values) -> Values:
    extra = values['extra']
    kept = {name: value for name, value in extra.items() if value is not None}
    return {**values, 'extra': kept}


def _deleter(
    delete: Callable[[records.Accounts, str], tuple[records.Accounts, None]],
) -> Callable[[embedded.Identity, str], None]:
    return lambda store, row_id: store.change(
        lambda accounts: delete(accounts, row_id)
    )


_DOMAINS: Final = ResourceType('domains', 'domain', _domains)
_GROUPS: Final = ResourceType('groups', 'group', lambda *_: ())
_PROJECTS: Final = ResourceType('projects', 'project', _projects, 'project_id')
_USERS: Final = ResourceType('users', 'user', _users, 'user_id')
_ROLES: Final = ResourceType('roles', 'role', _roles)
_PROJECT_EDITOR: Final = Editor(
    _create_project, _update_project, _deleter(changes.delete_project)
)
_USER_EDITOR: Final = Editor(
    _create_user, _update_user, _deleter(changes.delete_user)
)
_ROLE_EDITOR: Final = Editor(
    _create_role, _update_role, _deleter(changes.delete_role)
)
