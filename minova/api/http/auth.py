# SPDX-License-Identifier: Apache-2.0
"""Authentication, by the strategy that ``[api] auth_strategy`` names.

============ ===============================================================
keystone     keystonemiddleware validates the token: ``keystone.py``
embedded     the embedded identity service validates the token
noauth2      the token is ``USER:PROJECT``, without a check: for tests only
============ ===============================================================

Policy, and not the strategy, decides which callers are administrators.
"""

import functools
import ipaddress
import re
from typing import Final
from typing import Protocol

import falcon
from oslo_log import log as logging

from minova import exception
from minova.api.http import keystone
from minova.api.http.keystone import Creds
from minova.conf import CONF
from minova.context import Context
from minova.identity.embedded import Identity
from minova.policy import Policy
from minova.serving import http_admission
from minova.serving.http_admission import Admission

LOG = logging.getLogger(__name__)

#: Method and path.
Endpoint = tuple[str, str]

#: Endpoints without authentication: the version documents.
PUBLIC: Final = frozenset(
    ('GET', path)
    for path in (
        '/',
        *('/v2', '/v2/', '/v2.1', '/v2.1/'),
        *('/versions/v2.0', '/versions/v2.1'),
        *('/v2/versions/v2.0', '/v2/versions/v2.1'),
        *('/v2.1/versions/v2.0', '/v2.1/versions/v2.1'),
    )
)
_TOKEN: Final = re.compile('([^:]{1,255}):([^:]{1,255})')

#: The roles of a user of ``noauth2`` beside member and reader.
_ROLES_WITHOUT_AUTH: Final = {
    'admin': ('admin', 'manager'),
    'manager': ('manager',),
}


class Strategy(Protocol):
    """Authenticates the caller of a request."""

    def authenticate(self, req: falcon.Request) -> Creds | None:
        """Return the arguments of the caller's context, or None."""

    def has_project(self, project_id: str) -> bool:
        """Return whether a project exists; True if that is not known."""


class EmbeddedAuth:
    """Validates tokens with the embedded identity service."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def authenticate(self, req: falcon.Request) -> Creds | None:
        """Return the owner of a valid token."""
        token = self._identity.find_token(req.get_header('X-Auth-Token') or '')
        if token is None:
            return None
        return {
            'user_id': token.user_id,
            'user_name': token.user_name,
            'user_domain_id': token.user_domain_id,
            'project_id': token.project_id,
            'project_name': token.project_name,
            'project_domain_id': token.project_domain_id,
            'roles': list(token.roles),
        }

    def has_project(self, project_id: str) -> bool:
        """Ask the embedded identity service."""
        return self._identity.has_project(project_id)


class NoAuth:
    """Accepts every token of the form USER:PROJECT."""

    def authenticate(self, req: falcon.Request) -> Creds | None:
        """Return the user of the token, whose name gives the roles."""
        match = _TOKEN.fullmatch(req.get_header('X-Auth-Token') or '')
        if match is None:
            return None
        user, project = match[1], match[2]
        return {
            'user_id': user,
            'user_name': user,
            'project_id': project,
            'project_name': project,
            'roles': [*_ROLES_WITHOUT_AUTH.get(user, ()), 'member', 'reader'],
        }

    def has_project(self, project_id: str) -> bool:
        """Accept any project, as ``authenticate`` does."""
        return True


def load_strategy(identity: Identity | None) -> Strategy:
    """Return the strategy that ``[api] auth_strategy`` names.

    ConfigInvalid for ``embedded`` without an identity service, and for
    ``keystone`` with incomplete options.
    """
    name = CONF.api.auth_strategy
    if name == 'noauth2':
        return NoAuth()
    if name == 'keystone':
        return keystone.KeystoneAuth()
    if identity is None:
        raise exception.ConfigInvalid(
            reason=(
                '[api] auth_strategy is embedded, but this process runs no '
                'identity service'
            )
        )
    return EmbeddedAuth(identity)


def refuse_open_door(address: str | None) -> None:
    """Raise ConfigInvalid for ``noauth2`` where other machines connect.

    ``address`` is that of the listening socket; None if it is unknown. If the
    configuration allows it, the log has a warning instead.
    """
    if CONF.api.auth_strategy != 'noauth2':
        return
    if address is not None and ipaddress.ip_address(address).is_loopback:
        return
    place = address or 'an address that another WSGI server selects'
    danger = (
        f'[api] auth_strategy = noauth2 on {place}: every client that reaches '
        'it is an administrator without a password'
    )
    if not CONF.api.allow_noauth2_from_network:
        raise exception.ConfigInvalid(
            reason=(
                f'{danger}; set auth_strategy to keystone or embedded, or '
                'osapi_compute_listen to a loopback address. For a test in a '
                'closed network set allow_noauth2_from_network'
            )
        )
    LOG.warning('%s. Allowed by [api] allow_noauth2_from_network', danger)


class AuthMiddleware:
    """Sets the caller of each request; refuses requests without one."""

    def __init__(
        self, strategy: Strategy, policy: Policy, public: frozenset[Endpoint]
    ) -> None:
        self._strategy = strategy
        self._policy = policy
        self._public = public

    def process_request(
        self, req: falcon.Request, resp: falcon.Response
    ) -> None:
        """Create the caller's context from its credentials."""
        req.context.caller = None
        req.context.has_project = self._has_project
        if (req.method, req.path) in self._public:
            resp.complete = http_admission.answer(req.env, Admission.PUBLIC)
            return
        creds = self._strategy.authenticate(req)
        if creds is None or not creds['user_id']:
            raise exception.Unauthorized
        _refuse_other_scopes(creds)
        # The context registers itself for log records of this thread.
        caller = Context(
            **creds,
            is_admin=self._policy.is_admin(creds),
            request_id=req.context.request_id,
            global_request_id=req.context.global_request_id,
            overwrite=True,
        )
        req.context.caller = caller
        req.context.authorize = functools.partial(
            self._policy.authorize, caller
        )
        req.context.is_allowed = functools.partial(
            self._policy.is_allowed, caller
        )
        # A question of the HTTP server before the body ends here.
        resp.complete = http_admission.answer(req.env, Admission.AUTHENTICATED)

    def _has_project(self, project_id: str) -> bool:
        return self._strategy.has_project(project_id)


def _refuse_other_scopes(creds: Creds) -> None:
    """Raise Forbidden for a token for a domain or the system.

    These own no server, image or network. Their administrators are those of a
    domain or of Keystone, not of this cloud.
    """
    for name, scope in (
        ('system_scope', 'the system'),
        ('domain_id', 'a domain'),
    ):
        if creds.get(name):
            raise exception.Forbidden(
                'This request needs a token with a project scope; the token '
                f'is for {scope}. Use a token for a project.'
            )


def set_challenge(req: falcon.Request, resp: falcon.Response) -> None:
    """Name the identity service to a caller without a token."""
    if CONF.api.auth_strategy == 'keystone':
        resp.set_header('WWW-Authenticate', keystone.challenge())
        return
    prefix = (CONF.api.compute_link_prefix or req.prefix).rstrip('/')
    resp.set_header('WWW-Authenticate', f'Keystone uri="{prefix}/identity/v3"')
