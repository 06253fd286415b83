# SPDX-License-Identifier: Apache-2.0
"""Authentication by Keystone: keystonemiddleware validates each token.

keystonemiddleware is a WSGI filter. Here it stands inside the application, in
front of an application that accepts everything: the version documents need no
Keystone, and a refusal is an error of the Compute API with a request id.
"""

from collections.abc import Callable
from collections.abc import Iterable
import importlib
from typing import Any
from typing import Final

import falcon

from minova import exception
from minova.conf import CONF
from minova.conf import libraries

#: The credentials of a caller, as arguments of its context.
Creds = dict[str, Any]
_Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_GROUP: Final = 'keystone_authtoken'
_SERVICE: Final = 'The identity service'
_INSTALL: Final = (
    '[api] auth_strategy is keystone, which needs the package '
    'keystonemiddleware; install the extra minova[keystone]: '
)


class KeystoneAuth:
    """Validates tokens with keystonemiddleware.

    ConfigInvalid if a library is missing or ``[keystone_authtoken]`` is not
    complete.
    """

    def __init__(self) -> None:
        self._protocol, self._errors = _load_protocol()

    def authenticate(self, req: falcon.Request) -> Creds | None:
        """Return the owner of the token; None if Keystone refuses a token.

        A service token that is not valid is refused too. Unavailable if
        Keystone does not answer.
        """
        if not req.get_header('X-Auth-Token'):
            return None
        status = self._ask_middleware(req.env)
        if status == 401 or (
            status == 200
            and req.get_header('X-Identity-Status') != 'Confirmed'
        ):
            return None
        if status != 200:
            raise exception.Unavailable(
                what=_SERVICE,
                reason=f'the validation of a token ended with {status}.',
            )
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

    def has_project(self, project_id: str) -> bool:
        """Accept any project: the service user may not see all of them."""
        return True

    def _ask_middleware(self, environ: dict[str, Any]) -> int:
        """Return the status of the reply; set headers in ``environ``."""
        statuses: list[str] = []

        def start_response(status: str, *arguments: object) -> None:
            statuses.append(status)

        try:
            for _ in self._protocol(environ, start_response):
                pass  # A generator replies when it is read.
        except self._errors as error:
            raise exception.Unavailable(
                what=_SERVICE, reason=str(error)
            ) from error
        return int(statuses[-1].partition(' ')[0])


def challenge() -> str:
    """Return the value of WWW-Authenticate: where to get a token."""
    options = CONF[_GROUP]
    # Not every type of authentication has the second option.
    url = options.www_authenticate_uri or getattr(options, 'auth_url', '')
    return f'Keystone uri="{url}"'


def _accept(
    environ: dict[str, Any], start_response: Callable[..., Any]
) -> Iterable[bytes]:
    """Accept a request, as the application behind the middleware."""
    start_response('200 OK', [('Content-Length', '0')])
    return []


def _load_protocol() -> tuple[_Application, type[Exception]]:
    """Return the middleware, and the class of the errors that it passes on.

    It uses 17 MB, which only this strategy needs.
    """
    try:
        libraries.set_keystone_defaults()
        module = importlib.import_module('keystonemiddleware.auth_token')
        errors = importlib.import_module('keystoneauth1.exceptions')
    except ImportError as error:
        raise exception.ConfigInvalid(reason=f'{_INSTALL}{error}') from error
    for group, options in module.list_opts():
        CONF.register_opts(options, group=group)
    if not CONF[_GROUP].auth_type and not CONF[_GROUP].auth_section:
        raise exception.ConfigInvalid(
            reason=(
                f'[{_GROUP}] auth_type is not set; set it and the options of '
                'the service user, which validates tokens.'
            )
        )
    _require_cache_libraries()
    try:
        found = module.AuthProtocol(_accept, {'oslo_config_config': CONF})
    except (errors.ClientException, TypeError) as error:
        raise exception.ConfigInvalid(reason=f'[{_GROUP}]: {error}') from error
    return found, errors.ClientException


def _require_cache_libraries() -> None:
    """Raise ConfigInvalid for a missing library of the cache of tokens.

    The middleware imports them at the first request only.
    """
    options = CONF[_GROUP]
    if not options.memcached_servers:
        return
    option, name, package = 'memcached_servers', 'memcache', 'python-memcached'
    if options.memcache_sasl_enabled or options.memcache_tls_enabled:
        option = 'memcache_sasl_enabled or memcache_tls_enabled'
        name, package = 'bmemcached', 'python-binary-memcached'
    try:
        importlib.import_module(name)
    except ImportError as error:
        raise exception.ConfigInvalid(
            reason=(
                f'[{_GROUP}] {option} needs the package {package}, which is '
                f'not installed: {error}'
            )
        ) from error
