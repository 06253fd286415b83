# SPDX-License-Identifier: Apache-2.0
"""The security groups of projects and servers: there are none."""

from typing import Final

from minova import exception
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.views import Document


def index(request: ApiRequest, server_id: str) -> Document:
    """List the groups of a server.

    The group ``default`` that a new server may name filters nothing.
    """
    request.get_server(server_id)
    return {'security_groups': []}


def list_all(request: ApiRequest) -> Document:
    """List the groups of the project."""
    return {'security_groups': []}


def show(request: ApiRequest, key: str) -> Document:
    """Raise NotFound."""
    raise _not_found(key)


def change_server(request: ApiRequest, server_id: str) -> None:
    """Raise NotFound for a group that a server is to get or to lose."""
    request.get_server(server_id)
    (action,) = request.body.values()
    raise _not_found(action['name'])


def _not_found(name: str) -> exception.NotFound:
    return exception.NotFound(
        f'Security group {name[:64]} not found: there are none. A network '
        'filters forged addresses; use a firewall in the guest for the rest.'
    )


_RULE: Final = 'os_compute_api:os-security-groups'
_UNTIL: Final = 35
_ALL: Final = '/os-security-groups'
_ONE: Final = f'{_ALL}/{{key}}'
ROUTES: Final = (
    Route('GET', f'/servers/{{server_id}}{_ALL}', index, f'{_RULE}:list'),
    Route('GET', _ALL, list_all, f'{_RULE}:get', until=_UNTIL),
    Route('GET', _ONE, show, f'{_RULE}:show', until=_UNTIL),
    Route('DELETE', _ONE, show, f'{_RULE}:delete', until=_UNTIL),
)
