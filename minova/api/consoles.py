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
from minova.api.ask import Ask
from minova.api.routes import Route
from minova.api.schemas import consoles as schemas
from minova.conf import CONF
from minova.db import instances
from minova.objects.instance import Instance
from minova.operations import consoles
from minova.rpc.compute import Compute

T = TypeVar('T')

#: The one way to a screen that there is.
_PROTOCOL: Final = 'vnc'
_TYPE: Final = 'novnc'
#: From which version on tokens of other types than rdp-html5 are told of.
_EVERY_TYPE: Final = 31


def output(ask: Ask, server_id: str) -> dict[str, Any]:
    """Return the end of what a server said on its first serial port."""
    length = ask.body['os-getConsoleOutput'].get('length')
    lines = None if length is None or int(length) < 0 else int(length)
    text = _ask_host(
        ask,
        _own(ask, server_id),
        lambda compute: compute.get_console_output(
            ask.context, instance_uuid=server_id, lines=lines
        ),
    )
    return {'output': text}


def vnc(ask: Ask, server_id: str) -> dict[str, Any]:
    """Return a URL that shows a server's screen, as before 2.6."""
    kind = ask.body['os-getVNCConsole']['type']
    url = _url(ask, server_id, _PROTOCOL, kind)
    return {'console': {'type': kind, 'url': url}}


def create(ask: Ask, server_id: str) -> dict[str, Any]:
    """Return a URL that shows a server's screen."""
    wanted = ask.body['remote_console']
    url = _url(ask, server_id, wanted['protocol'], wanted['type'])
    return {'remote_console': wanted | {'url': url}}


def _url(ask: Ask, server_id: str, protocol: str, kind: str) -> str:
    instance = _own(ask, server_id)
    if (protocol, kind) != (_PROTOCOL, _TYPE):
        raise exception.ConsoleTypeUnavailable(
            console_type=kind,
            reason=f'not by protocol {protocol}. There are consoles of type '
            f'{_TYPE} by protocol {_PROTOCOL}.',
        )
    # Whoever gets a URL shall find a screen there, so it is asked for now;
    # where it is is asked again by whoever shows it.
    _ask_host(
        ask,
        instance,
        lambda compute: compute.get_vnc_console(
            ask.context, instance_uuid=server_id
        ),
    )
    token = consoles.issue(ask.database, server_id, kind)
    # noVNC takes the path of the websocket from the page's query.
    query = urllib.parse.urlencode({'path': f'?token={token}'})
    base = CONF.vnc.base_url
    return f'{base}{"&" if "?" in base else "?"}{query}'


def show_token(ask: Ask, console_token: str) -> dict[str, Any]:
    """Tell where the screen is that a token lets somebody see."""
    found = consoles.redeem(ask.database, console_token)
    if ask.version < _EVERY_TYPE:
        raise exception.Unauthorized(
            f'Before microversion 2.{_EVERY_TYPE} nothing is told of consoles '
            f'of type {found.console_type}.'
        )
    way = ask.backend.beside.ask(
        CONF.api.compute_timeout,
        lambda: consoles.way_to(ask.backend.computes, ask.context, found),
        'The host of the server',
    )
    return {
        'console': {
            'instance_uuid': way['instance_uuid'],
            'host': way['host'],
            'port': way['port'],
            'internal_access_path': way['socket'],
        }
    }


def _own(ask: Ask, server_id: str) -> Instance:
    """Return a server that the caller sees and may ask about."""
    scope = ask.scope
    instance = ask.database.read(
        lambda connection: instances.get(connection, server_id, scope)
    )
    if instance is None:
        raise exception.InstanceNotFound(instance_id=server_id)
    ask.require_own(instance)
    return instance


def _ask_host(
    ask: Ask, instance: Instance, question: Callable[[Compute], T]
) -> T:
    """Ask a server's host; NoAnswer when it takes too long."""
    if instance.host is None:
        raise exception.InstanceNotReady(
            instance_id=instance.uuid, reason='it is on no host'
        )
    compute = ask.backend.computes.at(instance.host)
    return ask.backend.beside.ask(
        CONF.api.compute_timeout,
        lambda: question(compute),
        'The host of the server',
    )


ROUTES: Final = (
    Route(
        'POST',
        '/servers/{server_id}/remote-consoles',
        create,
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
