# SPDX-License-Identifier: Apache-2.0
"""The embedded Identity v3 over HTTP, under ``/identity``.

This module has versions and tokens, the modules ``*_routes`` the rest.
Handlers catch nothing: the application renders errors with ``error_body``.
"""

import datetime

import falcon

from minova import exception
from minova.identity import account_routes
from minova.identity import assignment_routes
from minova.identity import catalog_routes
from minova.identity import credential_routes
from minova.identity import embedded
from minova.identity import http_io
from minova.identity import login
from minova.identity.http_io import Document

#: Endpoints without authentication.
PUBLIC = frozenset(
    {
        ('GET', '/identity'),
        ('GET', '/identity/'),
        ('GET', '/identity/v3'),
        ('GET', '/identity/v3/'),
        ('POST', '/identity/v3/auth/tokens'),
    }
)


def routes(store: embedded.Identity) -> list[tuple[str, object]]:
    """Return URI templates and their falcon resources."""
    return [
        ('/identity', Versions()),
        ('/identity/', Versions()),
        ('/identity/v3', Version()),
        ('/identity/v3/', Version()),
        ('/identity/v3/auth/tokens', Tokens(store)),
        *account_routes.routes(store),
        *assignment_routes.routes(store),
        *credential_routes.routes(store),
        *catalog_routes.routes(store),
    ]


def error_body(status: int, message: str) -> Document:
    """Return the body of an error in Keystone's form."""
    return {
        'error': {
            'code': status,
            'message': message,
            'title': http_io.status_phrase(status),
        }
    }


class Versions:
    """The versions of the Identity API."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Reply with the list, and 300 as Keystone does."""
        resp.status = falcon.HTTP_300
        resp.media = {'versions': {'values': [_version(req)]}}


class Version:
    """Version 3 of the Identity API."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Reply with the version document."""
        resp.media = {'version': _version(req)}


class Tokens:
    """Tokens: issue, show, check, revoke."""

    def __init__(self, store: embedded.Identity) -> None:
        self._store = store

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Issue a token."""
        text = login.issue_token(self._store, http_io.read_json(req))
        resp.status = falcon.HTTP_201
        self._show(req, resp, text)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show the token in X-Subject-Token."""
        self._show(req, resp, self._subject(req, 'validate_token'))

    def on_head(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Check the token in X-Subject-Token."""
        self._subject(req, 'check_token')

    def on_delete(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Revoke the token in X-Subject-Token."""
        self._store.revoke_token(self._subject(req, 'revoke_token'))
        resp.status = falcon.HTTP_204

    def _subject(self, req: falcon.Request, action: str) -> str:
        """Return the subject token, if it is valid.

        NotFound otherwise: 401 would refer to the caller's own token.
        """
        http_io.get_caller(req)
        text = req.get_header('X-Subject-Token') or ''
        subject = self._store.find_token(text)
        if subject is None:
            raise exception.NotFound('The token could not be found.')
        http_io.require(req, f'identity:{action}', user_id=subject.user_id)
        return text

    def _show(
        self, req: falcon.Request, resp: falcon.Response, text: str
    ) -> None:
        token = self._store.validate_token(text)
        shown = _token(token)
        if token.project_id is not None:
            shown['roles'] = [
                {'id': role.id, 'name': role.name}
                for role in self._store.accounts.sorted_roles()
                if role.name in token.roles
            ]
            if 'nocatalog' not in req.params:
                shown['catalog'] = self._store.catalog(
                    http_io.get_base_url(req)
                )
        resp.set_header('X-Subject-Token', text)
        resp.set_header('Vary', 'X-Auth-Token')
        resp.media = {'token': shown}


def _version(req: falcon.Request) -> Document:
    return {
        'id': 'v3.14',
        'status': 'stable',
        'updated': '2020-04-07T00:00:00Z',
        'links': [
            {
                'rel': 'self',
                'href': f'{http_io.get_base_url(req)}/identity/v3/',
            }
        ],
        'media-types': [
            {
                'base': 'application/json',
                'type': 'application/vnd.openstack.identity-v3+json',
            }
        ],
    }


def _token(token: embedded.Token) -> Document:
    """Return a token in Keystone's form, without roles and catalog."""
    shown: Document = {
        'methods': list(token.methods),
        'user': {
            'id': token.user_id,
            'name': token.user_name,
            'domain': {
                'id': token.user_domain_id,
                'name': token.user_domain_name,
            },
            'password_expires_at': None,
        },
        'audit_ids': list(token.audit_ids),
        'issued_at': _time(token.issued_at),
        'expires_at': _time(token.expires_at),
    }
    if token.credential_id is not None:
        shown['application_credential'] = {'id': token.credential_id}
    if token.project_id is not None:
        shown['is_domain'] = False
        shown['project'] = {
            'id': token.project_id,
            'name': token.project_name,
            'domain': {
                'id': token.project_domain_id,
                'name': token.project_domain_name,
            },
        }
    return shown


def _time(moment: datetime.datetime) -> str:
    return moment.strftime('%Y-%m-%dT%H:%M:%S.%fZ')
