# SPDX-License-Identifier: Apache-2.0
"""The embedded Identity v3 over HTTP: application credentials.

A program logs in with one instead of a user's password, on one project and
with some of the user's roles. Users manage their own; an administrator sees
and deletes those of all.
"""

import datetime
import functools
import secrets
from typing import Any
from typing import Final

import falcon

from minova import clock
from minova import exception
from minova.identity import changes
from minova.identity import embedded
from minova.identity import http_io
from minova.identity import passwords
from minova.identity import records
from minova.identity import resource_types
from minova.identity import schemas
from minova.identity.http_io import Document

_PLURAL: Final = 'application_credentials'
_SINGULAR: Final = 'application_credential'


def routes(store: embedded.Identity) -> list[tuple[str, object]]:
    """Return URI templates and their falcon resources."""
    base = f'/identity/v3/users/{{row_id}}/{_PLURAL}'
    return [
        (base, Credentials(store)),
        (f'{base}/{{credential_id}}', Credential(store)),
    ]


class Credentials:
    """The application credentials of a user."""

    def __init__(self, store: embedded.Identity) -> None:
        self._store = store

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, row_id: str
    ) -> None:
        """List them."""
        http_io.require(req, f'identity:list_{_PLURAL}', user_id=row_id)
        accounts = self._store.accounts
        changes.find(accounts.users, 'user', row_id)
        rows = (
            _document(accounts, one)
            for one in accounts.credentials.values()
            if one.user_id == row_id
        )
        path = f'users/{row_id}/{_PLURAL}'
        resource_types.send_list(req, resp, _PLURAL, rows, path)

    def on_post(
        self, req: falcon.Request, resp: falcon.Response, row_id: str
    ) -> None:
        """Create one for the project of the token; show its secret once."""
        http_io.require(req, f'identity:create_{_SINGULAR}', user_id=row_id)
        token = _require_unrestricted(self._store, req)
        values = schemas.read_new(_SINGULAR, http_io.read_json(req))
        secret = values.pop('secret', None) or secrets.token_urlsafe(32)
        accounts = self._store.accounts
        made = self._store.change(
            functools.partial(
                changes.create_credential,
                values=_values(accounts, token, values)
                | {'secret': passwords.hash_password(secret)},
            )
        )
        resp.status = falcon.HTTP_201
        row = _document(self._store.accounts, made) | {'secret': secret}
        _send(req, resp, row_id, row)


class Credential:
    """One application credential."""

    def __init__(self, store: embedded.Identity) -> None:
        self._store = store

    def on_get(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        row_id: str,
        credential_id: str,
    ) -> None:
        """Show it."""
        http_io.require(req, f'identity:get_{_SINGULAR}', user_id=row_id)
        accounts = self._store.accounts
        found = changes.find_credential(accounts, row_id, credential_id)
        _send(req, resp, row_id, _document(accounts, found))

    def on_delete(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        row_id: str,
        credential_id: str,
    ) -> None:
        """Delete it."""
        http_io.require(req, f'identity:delete_{_SINGULAR}', user_id=row_id)
        _require_unrestricted(self._store, req)
        self._store.change(
            functools.partial(
                changes.delete_credential,
                user_id=row_id,
                credential_id=credential_id,
            )
        )
        resp.status = falcon.HTTP_204


def _require_unrestricted(
    store: embedded.Identity, req: falcon.Request
) -> embedded.Token:
    """Return the token, unless a restricted credential was used for it.

    Otherwise a stolen credential could replace itself.
    """
    token = store.validate_token(req.get_header('X-Auth-Token') or '')
    used = store.accounts.credentials.get(token.credential_id or '')
    if used is not None and not used.unrestricted:
        raise exception.Forbidden(
            'A restricted application credential cannot change application '
            'credentials.'
        )
    return token


def _values(
    accounts: records.Accounts, token: embedded.Token, values: dict[str, Any]
) -> dict[str, Any]:
    """Return the fields of a new credential for the project of a token."""
    project_id = token.project_id
    if project_id is None:
        raise exception.InvalidInput(
            reason=(
                'an application credential needs a token with a project '
                'scope; this one is unscoped.'
            )
        )
    if values.pop('project_id', None) not in (None, project_id):
        raise exception.InvalidInput(
            reason='project_id must be the project of the token.'
        )
    held = accounts.roles_of(token.user_id, project_id)
    held = [role for role in held if role.name in token.roles]
    return {
        'name': values['name'],
        'description': values.get('description'),
        'user_id': token.user_id,
        'project_id': project_id,
        'role_ids': _choose_roles(held, values.get('roles')),
        'expires_at': _parse_expiry(values.get('expires_at')),
        'unrestricted': bool(values.get('unrestricted')),
    }


def _choose_roles(
    held: list[records.Role], wanted: list[dict[str, str]] | None
) -> tuple[str, ...]:
    """Return the ids of the requested roles; None requests all."""
    if not wanted:
        return tuple(role.id for role in held)
    found = []
    for one in wanted:
        matching = [
            role.id
            for role in held
            if one.get('id', role.id) == role.id
            and one.get('name', role.name) == role.name
        ]
        if not matching:
            raise exception.InvalidInput(
                reason='roles has a role that the token does not have.'
            )
        found += matching
    return tuple(dict.fromkeys(found))


def _parse_expiry(text: str | None) -> str | None:
    """Return a time in ISO 8601 with UTC; InvalidInput if it has passed."""
    if text is None:
        return None
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise exception.InvalidInput(
            reason='expires_at is not a time in ISO 8601.'
        ) from error
    if found.tzinfo is None:
        found = found.replace(tzinfo=datetime.UTC)
    if found <= clock.now():
        raise exception.InvalidInput(reason='expires_at has passed.')
    return found.astimezone(datetime.UTC).isoformat()


def _document(
    accounts: records.Accounts, one: records.ApplicationCredential
) -> Document:
    roles = (
        accounts.roles[role_id]
        for role_id in one.role_ids
        if role_id in accounts.roles
    )
    expires_at = one.expires_at
    return {
        'id': one.id,
        'name': one.name,
        'description': one.description,
        'project_id': one.project_id,
        'user_id': one.user_id,
        'roles': [
            {'id': role.id, 'name': role.name, 'domain_id': None}
            for role in roles
        ],
        'expires_at': expires_at and expires_at.removesuffix('+00:00'),
        'unrestricted': one.unrestricted,
    }


def _send(
    req: falcon.Request, resp: falcon.Response, user_id: str, row: Document
) -> None:
    base = f'{http_io.get_base_url(req)}/identity/v3/users/{user_id}'
    row['links'] = {'self': f'{base}/{_PLURAL}/{row["id"]}'}
    resp.media = {_SINGULAR: row}
