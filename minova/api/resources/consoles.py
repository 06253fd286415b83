# SPDX-License-Identifier: Apache-2.0
"""What servers say on their consoles, and URLs that show their screens.

Nothing is begun here: the host is asked at once, and the reply waits for it.
"""

from collections.abc import Callable
from typing import Any
from typing import Final
from typing import TypeVar
import urllib.parse

from minova import exception
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.schemas import consoles as schemas
from minova.conf import CONF
from minova.db.queries import instances
from minova.engine import console_tokens
from minova.objects.instance import Instance
from minova.rpc.compute import Compute

T = TypeVar('T')

#: The one way to a screen that there is.
_PROTOCOL: Final = 'vnc'
_TYPE: Final = 'novnc'
#: From which version on tokens of other types than rdp-html5 are told of.
_ALL_TYPES_SINCE: Final = 31


def get_console_output(request: ApiRequest, server_id: str) -> dict[str, Any]:
    """Return the end of what a server said on its first serial port."""
    length = request.body['os-getConsoleOutput'].get('length')
    lines = None if length is None or int(length) < 0 else int(length)
    text = _call_host(
        request,
        _get_instance(request, server_id),
        lambda compute: compute.get_console_output(
            request.context, instance_uuid=server_id, lines=lines
        ),
    )
    return {'output': text}


def get_vnc_console(request: ApiRequest, server_id: str) -> dict[str, Any]:
    """Return a URL that shows a server's screen, as before 2.6."""
    kind = request.body['os-getVNCConsole']['type']
    url = _make_url(request, server_id, _PROTOCOL, kind)
    return {'console': {'type': kind, 'url': url}}


def create_console(request: ApiRequest, server_id: str) -> dict[str, Any]:
    """Return a URL that shows a server's screen."""
    requested = request.body['remote_console']
    url = _make_url(
        request, server_id, requested['protocol'], requested['type']
    )
    return {'remote_console': requested | {'url': url}}


def _make_url(
    request: ApiRequest, server_id: str, protocol: str, kind: str
) -> str:
    instance = _get_instance(request, server_id)
    if (protocol, kind) != (_PROTOCOL, _TYPE):
        raise exception.ConsoleTypeUnavailable(
            console_type=kind,
            reason=f'not by protocol {protocol}. There are consoles of type '
            f'{_TYPE} by protocol {_PROTOCOL}.',
        )
    # Whoever gets a URL shall find a screen there, so it is asked for now;
    # where it is is asked again by whoever shows it.
    _call_host(
        request,
        instance,
        lambda compute: compute.get_vnc_console(
            request.context, instance_uuid=server_id
        ),
    )
    token = console_tokens.issue(request.database, server_id, kind)
    # noVNC takes the path of the websocket from the page's query.
    query = urllib.parse.urlencode({'path': f'?token={token}'})
    base = CONF.vnc.novncproxy_base_url
    return f'{base}{"&" if "?" in base else "?"}{query}'


def show_token(request: ApiRequest, console_token: str) -> dict[str, Any]:
    """Tell where the screen is that a token lets somebody see."""
    found = console_tokens.validate(request.database, console_token)
    if request.version < _ALL_TYPES_SINCE:
        raise exception.Unauthorized(
            f'Before microversion 2.{_ALL_TYPES_SINCE} nothing is told of consoles '
            f'of type {found.console_type}.'
        )
    endpoint = request.backend.timed_calls.call(
        CONF.api.compute_timeout,
        lambda: console_tokens.get_connect_info(
            request.backend.computes, request.context, found
        ),
        'The host of the server',
    )
    return {
        'console': {
            'instance_uuid': endpoint['instance_uuid'],
            'host': endpoint['host'],
            'port': endpoint['port'],
            'internal_access_path': endpoint['socket'],
        }
    }


def _get_instance(request: ApiRequest, server_id: str) -> Instance:
    """Return a server that the caller sees and may ask about."""
    scope = request.scope
    instance = request.database.read(
        lambda connection: instances.get(connection, server_id, scope)
    )
    if instance is None:
        raise exception.InstanceNotFound(instance_id=server_id)
    request.require_owner(instance)
    return instance


def _call_host(
    request: ApiRequest, instance: Instance, call: Callable[[Compute], T]
) -> T:
    """Ask a server's host; RpcTimeout when it takes too long."""
    if instance.host is None:
        raise exception.InstanceNotReady(
            instance_id=instance.uuid, reason='it is on no host'
        )
    compute = request.backend.computes.for_host(instance.host)
    return request.backend.timed_calls.call(
        CONF.api.compute_timeout,
        lambda: call(compute),
        'The host of the server',
    )


ROUTES: Final = (
    Route(
        'POST',
        '/servers/{server_id}/remote-consoles',
        create_console,
        'os_compute_api:os-remote-consoles',
        body=schemas.REMOTE_CONSOLE,
        since=6,
    ),
    Route(
        'GET',
        '/os-console-auth-tokens/{console_token}',
        show_token,
        'os_compute_api:os-console-auth-tokens',
    ),
)
