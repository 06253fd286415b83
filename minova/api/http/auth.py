# SPDX-License-Identifier: Apache-2.0
"""Authentication, by the strategy that ``[api] auth_strategy`` names.

============ ===============================================================
keystone     keystonemiddleware stands around the application and checks the
             token; its headers are believed, and only then
embedded     our own identity service is asked
noauth2      the token is ``USER:PROJECT``, nobody is checked: for tests
============ ===============================================================

Whether somebody is an administrator is a matter of policy, not of these.
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

#: What is shown to whoever asks: which versions there are.
PUBLIC: Final = frozenset({('GET', '/'), ('GET', '/v2.1'), ('GET', '/v2.1/')})
_TOKEN: Final = re.compile('([^:]{1,255}):([^:]{1,255})')


class Strategy(Protocol):
    """Finds out who is asking."""

    def authenticate(self, req: falcon.Request) -> Creds | None:
        """Return what a context is made from; None for nobody known."""


class KeystoneAuth:
    """Believes the headers of keystonemiddleware, which has set them."""

    def authenticate(self, req: falcon.Request) -> Creds | None:
        """Return whom a token that was found good is for."""
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
    """Asks the identity service that comes with Minova."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def authenticate(self, req: falcon.Request) -> Creds | None:
        """Return whom a good token is for."""
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
    """Believes everybody."""

    def authenticate(self, req: falcon.Request) -> Creds | None:
        """Return whom the token names; ``admin`` is an administrator."""
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
            reason='[api] auth_strategy is embedded, and this process has no '
            'identity service'
        )
    return EmbeddedAuth(identity)


class AuthMiddleware:
    """Middleware: notes the caller, turns away who is nobody."""

    def __init__(
        self, strategy: Strategy, policy: Policy, public: frozenset[Endpoint]
    ) -> None:
        self._strategy = strategy
        self._policy = policy
        self._public = public

    def process_request(
        self, req: falcon.Request, resp: falcon.Response
    ) -> None:
        """Put the context of the caller into the request's."""
        req.context.caller = None
        if (req.method, req.path) in self._public:
            return
        creds = self._strategy.authenticate(req)
        if creds is None or not creds['user_id']:
            raise exception.Unauthorized
        # Logging finds the newest context of its thread.
        req.context.caller = Context(
            **creds,
            is_admin=self._policy.is_admin(creds),
            request_id=req.context.request_id,
            global_request_id=req.context.global_request_id,
            overwrite=True,
        )


def set_challenge(req: falcon.Request, resp: falcon.Response) -> None:
    """Tell a caller who is nobody where to get a token."""
    if CONF.api.auth_strategy == 'keystone':
        return  # keystonemiddleware does, which knows where Keystone is
    prefix = (CONF.api.compute_link_prefix or req.prefix).rstrip('/')
    resp.set_header('WWW-Authenticate', f'Keystone uri="{prefix}/identity/v3"')


def protect(app: Application) -> Application:
    """Return the application as it is served.

    With Keystone, that is with keystonemiddleware around it, which reads the
    group ``keystone_authtoken``. ConfigInvalid if that is not installed.
    """
    if CONF.api.auth_strategy != 'keystone':
        return app
    # It brings 17 MB that nobody else needs.
    try:
        module = importlib.import_module('keystonemiddleware.auth_token')
    except ImportError as error:
        raise exception.ConfigInvalid(
            reason='[api] auth_strategy is keystone, which needs the package '
            'keystonemiddleware, which the extra minova[keystone] brings: '
            f'{error}'
        ) from error
    options = {'oslo_config_config': CONF, 'delay_auth_decision': True}
    protected: Application = module.AuthProtocol(app, options)
    return protected
