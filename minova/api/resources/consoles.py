# SPDX-License-Identifier: Apache-2.0
"""Console output of servers, and URLs of remote consoles.

These requests begin no operation: the host replies while the request waits.
"""

from typing import Final
import urllib.parse

from minova import exception
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.resources.host_calls import call_host
from minova.api.resources.host_calls import get_instance
from minova.api.schemas import consoles as schemas
from minova.api.schemas import queries
from minova.api.views import Document
from minova.conf import CONF
from minova.engine import console_tokens

#: The protocol of each type of console that a host may offer.
_OFFERED: Final = {
    'novnc': 'vnc',
    'spice-html5': 'spice',
    console_tokens.SPICE_DIRECT: 'spice',
    'serial': 'serial',
}
#: The protocol of each action before 2.6.
_PROTOCOLS: Final = {
    'os-getVNCConsole': 'vnc',
    'os-getSPICEConsole': 'spice',
    'os-getRDPConsole': 'rdp',
    'os-getSerialConsole': 'serial',
}
#: The version since which tokens of every console type are visible.
_ALL_TYPES_SINCE: Final = 31
_TLS_PORT_SINCE: Final = 99
#: The port of a server that accepts TLS only.
_NO_PORT: Final = -1


def get_console_output(request: ApiRequest, server_id: str) -> Document:
    """Return the end of the output on the first serial port."""
    length = request.body['os-getConsoleOutput'].get('length')
    lines = None if length is None or int(length) < 0 else int(length)
    text = call_host(
        request,
        get_instance(request, server_id),
        lambda compute: compute.get_console_output(
            request.context, instance_uuid=server_id, lines=lines
        ),
    )
    return {'output': text}


def get_console(request: ApiRequest, server_id: str) -> Document:
    """Return the URL of a server's console, as before 2.6."""
    ((action, content),) = request.body.items()
    kind = content['type']
    url = _make_url(request, server_id, _PROTOCOLS[action], kind)
    return {'console': {'type': kind, 'url': url}}


def create_console(request: ApiRequest, server_id: str) -> Document:
    """Return the URL of a server's console."""
    requested = request.body['remote_console']
    url = _make_url(
        request, server_id, requested['protocol'], requested['type']
    )
    return {'remote_console': requested | {'url': url}}


def _make_url(
    request: ApiRequest, server_id: str, protocol: str, kind: str
) -> str:
    instance = get_instance(request, server_id)
    if _OFFERED.get(kind) != protocol:
        offered = ', '.join(f'{k} by {p}' for k, p in _OFFERED.items())
        raise exception.ConsoleTypeUnavailable(
            console_type=kind,
            reason=f'not by protocol {protocol}. Minova has {offered}.',
        )
    # Check now that the guest has a console; minova-novncproxy asks for the
    # address again when it connects.
    call_host(
        request,
        instance,
        lambda compute: compute.get_remote_console(
            request.context, instance_uuid=server_id, console_type=kind
        ),
    )
    token = console_tokens.issue(request.database, server_id, kind)
    if kind == 'serial':
        return _with_query(CONF.serial_console.base_url, {'token': token})
    if kind == console_tokens.SPICE_DIRECT:
        base = CONF.spice.spice_direct_proxy_base_url
        return _with_query(base, {'token': token})
    # The pages read the path of the websocket from their query.
    path = {'path': f'?token={token}'}
    if kind == 'spice-html5':
        base = CONF.spice.html5proxy_base_url
        return _with_query(base, path)
    return _with_query(CONF.vnc.novncproxy_base_url, path)


def _with_query(base: str, query: dict[str, str]) -> str:
    """Return a URL with more parameters."""
    separator = '&' if '?' in base else '?'
    return f'{base}{separator}{urllib.parse.urlencode(query)}'


def show_token(request: ApiRequest, console_token: str) -> Document:
    """Show the address of the console that a token gives access to."""
    if request.version < _ALL_TYPES_SINCE:
        raise exception.InvalidInput(
            f'Before microversion 2.{_ALL_TYPES_SINCE} only tokens of type '
            'rdp-html5 are visible, which no host offers.'
        )
    found = console_tokens.validate(request.database, console_token)
    endpoint = request.backend.timed_calls.call(
        CONF.api.compute_timeout,
        lambda: console_tokens.get_connect_info(
            request.backend.computes, request.context, found
        ),
        'The host of the server',
    )
    port, tls_port = endpoint['port'], endpoint.get('tls_port')
    if port is None and tls_port is not None:
        # As in libvirt's definition; clients require an integer.
        port = _NO_PORT
    console: Document = {
        'instance_uuid': endpoint['instance_uuid'],
        'host': endpoint['host'],
        'port': port,
        'internal_access_path': endpoint['socket'] or endpoint['access_path'],
    }
    if (
        request.version >= _TLS_PORT_SINCE
        and found.console_type == console_tokens.SPICE_DIRECT
    ):
        console['tls_port'] = tls_port
    return {'console': console}


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
        query=queries.QuerySchema({}, strict_since=_TLS_PORT_SINCE),
    ),
)
