# SPDX-License-Identifier: Apache-2.0
"""POST /v3/auth/tokens: from a body to a token.

Supported are the methods ``password``, ``token`` and
``application_credential``, and the scope of a project or none. Other features
of Keystone (domain and system scope, trusts, TOTP) are refused with a text
that names them. A malformed body is 400; a wrong name or password is 401, with
the same text.
"""

from collections.abc import Mapping
from typing import Any
from typing import TypedDict

import jsonschema

from minova import exception
from minova.identity import embedded
from minova.identity import http_io
from minova.identity import records

_METHODS = ('password', 'token', 'application_credential')
_NAME = {'type': 'string', 'minLength': 1, 'maxLength': 255}
_DOMAIN = {'type': 'object', 'properties': {'id': _NAME, 'name': _NAME}}
_NAMED = {'id': _NAME, 'name': _NAME, 'domain': _DOMAIN}
_IDENTITY = {
    'type': 'object',
    'required': ['methods'],
    'properties': {
        'methods': {
            'type': 'array',
            'minItems': 1,
            'maxItems': 8,
            'items': _NAME,
        },
        'password': {
            'type': 'object',
            'required': ['user'],
            'properties': {
                'user': {
                    'type': 'object',
                    'required': ['password'],
                    'properties': {
                        **_NAMED,
                        'password': {'type': 'string', 'maxLength': 4096},
                    },
                }
            },
        },
        'token': {
            'type': 'object',
            'required': ['id'],
            'properties': {'id': {'type': 'string', 'maxLength': 8192}},
        },
        'application_credential': {
            'type': 'object',
            'required': ['secret'],
            'properties': {
                'id': _NAME,
                'name': _NAME,
                'secret': {'type': 'string', 'maxLength': 4096},
                'user': {'type': 'object', 'properties': _NAMED},
            },
        },
    },
}
_SCOPE = {
    'type': ['object', 'string'],
    'minProperties': 1,
    'maxProperties': 1,
    'pattern': '^unscoped$',
    'properties': {'project': {'type': 'object', 'properties': _NAMED}},
}
_BODY = jsonschema.Draft202012Validator(
    {
        'type': 'object',
        'required': ['auth'],
        'properties': {
            'auth': {
                'type': 'object',
                'required': ['identity'],
                'properties': {'identity': _IDENTITY, 'scope': _SCOPE},
            }
        },
    }
)


class _Reference(TypedDict, total=False):
    """A user or a project: an id, or a name and a domain."""

    id: str
    name: str
    domain: Mapping[str, str]


class _User(_Reference):
    password: str


class _Scope(TypedDict, total=False):
    project: _Reference


class _CredentialLogin(TypedDict, total=False):
    id: str
    name: str
    secret: str
    user: _Reference


def issue_token(store: embedded.Identity, body: Any) -> str:
    """Return a new token for the login in a request's body.

    Raises InvalidInput for a malformed body; Unauthorized for a wrong user or
    password, a user without a role on the project, or an unsupported feature.
    """
    http_io.validate(_BODY, body)
    auth = body['auth']
    identity = auth['identity']
    methods = tuple(dict.fromkeys(identity['methods']))
    for method in methods:
        if method not in _METHODS:
            raise exception.Unauthorized(
                'The embedded identity service supports the methods '
                f'{", ".join(_METHODS)}; the request has another one.'
            )
        if method not in identity:
            raise exception.InvalidInput(
                reason=f'auth/identity lacks {method}, which methods names.'
            )
    if 'application_credential' in methods:
        return _log_in_with_credential(store, auth, methods)
    generations = {}
    parent = None
    if 'password' in methods:
        user = _authenticate_password(store, identity['password']['user'])
        generations[user.id] = user.generation
    if 'token' in methods:
        parent = store.validate_token(identity['token']['id'])
        generations[parent.user_id] = parent.user_generation
    if len(generations) != 1:
        raise exception.Unauthorized
    ((user_id, generation),) = generations.items()
    earlier = parent.methods if parent else ()
    return store.issue_token(
        user_id,
        _project_id(store, auth.get('scope', 'unscoped')),
        tuple(dict.fromkeys((*methods, *earlier))),
        parent,
        generation,
    )


def _authenticate_password(
    store: embedded.Identity, user: _User
) -> records.User:
    _require_reference(user, 'auth/identity/password/user')
    found = store.find_user(
        user.get('id'), user.get('name'), user.get('domain')
    )
    return store.authenticate(found, user['password'])


def _log_in_with_credential(
    store: embedded.Identity, auth: Any, methods: tuple[str, ...]
) -> str:
    """Return a token on the project of an application credential."""
    if len(methods) > 1 or 'scope' in auth:
        raise exception.InvalidInput(
            reason=(
                'application_credential excludes other methods and a scope: '
                'the credential has its own.'
            )
        )
    given = auth['identity']['application_credential']
    found = store.authenticate_credential(
        _find_credential(store, given), given['secret']
    )
    return store.issue_token(
        found.user_id, found.project_id, methods, credential_id=found.id
    )


def _find_credential(
    store: embedded.Identity, given: _CredentialLogin
) -> records.ApplicationCredential | None:
    credentials = store.accounts.credentials
    if 'id' in given:
        return credentials.get(given['id'])
    path = 'auth/identity/application_credential'
    if 'name' not in given or 'user' not in given:
        raise exception.InvalidInput(
            reason=f'{path} needs an id, or a name and a user.'
        )
    user = given['user']
    _require_reference(user, f'{path}/user')
    owner = store.find_user(
        user.get('id'), user.get('name'), user.get('domain')
    )
    for one in credentials.values():
        if owner and (one.user_id, one.name) == (owner.id, given['name']):
            return one
    return None


def _project_id(store: embedded.Identity, scope: str | _Scope) -> str | None:
    """Return the requested project, or None for an unscoped token."""
    if isinstance(scope, str):
        return None
    if 'project' not in scope:
        raise exception.Unauthorized(
            'The embedded identity service has tokens for a project and '
            'unscoped ones; the request has another scope (a domain, the '
            'system, a trust).'
        )
    project = scope['project']
    _require_reference(project, 'auth/scope/project')
    found = store.find_project(
        project.get('id'), project.get('name'), project.get('domain')
    )
    if found is None:
        raise exception.Unauthorized
    return found.id


def _require_reference(one: _Reference, path: str) -> None:
    """Raise InvalidInput unless there is an id, or a name and a domain."""
    if 'id' in one:
        return
    domain: Mapping[str, str] = one.get('domain', {})
    if 'name' not in one or not ('id' in domain or 'name' in domain):
        raise exception.InvalidInput(
            reason=(
                f'{path} needs an id, or a name and a domain with an id or a '
                'name.'
            )
        )
