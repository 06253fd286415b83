# SPDX-License-Identifier: Apache-2.0
"""Authentication, by the strategy that ``[api] auth_strategy`` names.

============ ===============================================================
keystone     keystonemiddleware validates the token and sets headers, which
             clients cannot set themselves
embedded     the embedded identity service validates the token
noauth2      the token is ``USER:PROJECT``, without a check: for tests only
============ ===============================================================

Policy, and not the strategy, decides which callers are administrators.
"""

from collections.abc import Callable
from collections.abc import Iterable
import importlib
import re
from typing import Any
from typing import Final
from typing import Protocol

import falcon

from minova import exception
from minova.conf import CONF
from minova.context import Context
from minova.identity.embedded import Identity
from minova.policy import Policy

#: A WSGI application.
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
#: Method and path.
Endpoint = tuple[str, str]
Creds = dict[str, Any]

#: Endpoints without authentication: the version documents.
PUBLIC: Final = frozenset({('GET', '/'), ('GET', '/v2.1'), ('GET', '/v2.1/')})
_TOKEN: Final = re.compile('([^:]{1,255}):([^:]{1,255})')


class Strategy(Protocol):
    """Authenticates the caller of a request."""

    def authenticate(self, req: falcon.Request) -> Creds | None:
        """Return the arguments of the caller's context, or None."""


class KeystoneAuth:
    """Trusts the headers of keystonemiddleware around the application."""

    def authenticate(self, req: falcon.Request) -> Creds | None:
        """Return the owner of the token that keystonemiddleware validated."""
        if req.get_header('X-Identity-Status') != 'Confirmed':
            return None
        roles = req.get_header('X-Roles') or ''
        return {
            'user_id': req.get_header('X-User-Id'),
            'user_name': req.get_header('X-User-Name'),
            'user_domain_id': req.get_header('X-User-Domain-Id'),
            'project_id': req.get_header('X-Project-Id'),
            'project_name': req.get_header('X-Project-Name'),
            'project_domain_id': req.get_header('X-Project-Domain-Id'),
            'domain_id': req.get_header('X-Domain-Id'),
            'system_scope': req.get_header('OpenStack-System-Scope'),
            'roles': [role.strip() for role in roles.split(',') if role],
        }


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


class NoAuth:
    """Accepts every token of the form USER:PROJECT."""

    def authenticate(self, req: falcon.Request) -> Creds | None:
        """Return the user of the token; ``admin`` is an administrator."""
        match = _TOKEN.fullmatch(req.get_header('X-Auth-Token') or '')
        if match is None:
            return None
        user, project = match[1], match[2]
        roles = ['member', 'reader']
        if user == 'admin':
            roles.insert(0, 'admin')
        return {
            'user_id': user,
            'user_name': user,
            'project_id': project,
            'project_name': project,
            'roles': roles,
        }


def load_strategy(identity: Identity | None) -> Strategy:
    """Return the strategy that ``[api] auth_strategy`` names.

    ConfigInvalid for ``embedded`` without an identity service.
    """
    name = CONF.api.auth_strategy
    if name == 'noauth2':
        return NoAuth()
    if name == 'keystone':
        return KeystoneAuth()
    if identity is None:
        raise exception.ConfigInvalid(
            reason=(
                '[api] auth_strategy is embedded, but this process runs no '
                'identity service'
            )
        )
    return EmbeddedAuth(identity)


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
        if (req.method, req.path) in self._public:
            return
        creds = self._strategy.authenticate(req)
        if creds is None or not creds['user_id']:
            raise exception.Unauthorized
        # The context registers itself for log records of this thread.
        req.context.caller = Context(
            **creds,
            is_admin=self._policy.is_admin(creds),
            request_id=req.context.request_id,
            global_request_id=req.context.global_request_id,
            overwrite=True,
        )


def set_challenge(req: falcon.Request, resp: falcon.Response) -> None:
    """Name the identity service to a caller without a token."""
    if CONF.api.auth_strategy == 'keystone':
        return  # keystonemiddleware sets it, with the URL of Keystone
    prefix = (CONF.api.compute_link_prefix or req.prefix).rstrip('/')
    resp.set_header('WWW-Authenticate', f'Keystone uri="{prefix}/identity/v3"')


def protect(app: Application) -> Application:
    """Return the application with keystonemiddleware around it, if needed.

    keystonemiddleware reads the group ``keystone_authtoken``. ConfigInvalid if
    it is not installed.
    """
    if CONF.api.auth_strategy != 'keystone':
        return app
    # It uses 17 MB, which only this strategy needs.
    try:
        module = importlib.import_module('keystonemiddleware.auth_token')
    except ImportError as error:
        raise exception.ConfigInvalid(
            reason=(
                '[api] auth_strategy is keystone, which needs the package '
                'keystonemiddleware; install the extra minova[keystone]: '
                f'{error}'
            )
        ) from error
    options = {'oslo_config_config': CONF, 'delay_auth_decision': True}
    protected: Application = module.AuthProtocol(app, options)
    return protected
