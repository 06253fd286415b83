# SPDX-License-Identifier: Apache-2.0
"""Floating IPs, of which there are none: only before 2.36.

The embedded networks have no routers, so no address can float.
"""

from typing import Final

from minova import exception
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.schemas import floating_ips as schemas
from minova.api.views import Document

_UNTIL: Final = 35


def index(request: ApiRequest) -> Document:
    """Return an empty list."""
    return {'floating_ips': []}


def show(request: ApiRequest, key: str) -> Document:
    """Raise NotFound."""
    raise exception.NotFound(f'Floating IP {key[:64]} could not be found.')


def create(request: ApiRequest) -> Document:
    """Raise NotFound: there is no pool."""
    raise exception.NotFound(
        'Floating IP pool not found: the networks have no floating IPs.'
    )


def list_pools(request: ApiRequest) -> Document:
    """Return an empty list."""
    return {'floating_ip_pools': []}


def associate(request: ApiRequest, server_id: str) -> None:
    """Raise NotFound for a floating IP of a server."""
    request.get_server(server_id)
    (action,) = request.body.values()
    raise exception.NotFound(
        f'Floating IP {action["address"]} could not be found: the networks '
        'have no floating IPs. addFixedIp gives the server another address.'
    )


_RULE: Final = 'os_compute_api:os-floating-ips'
_ALL: Final = '/os-floating-ips'
_ONE: Final = f'{_ALL}/{{key}}'
ROUTES: Final = (
    Route('GET', _ALL, index, f'{_RULE}:list', until=_UNTIL),
    Route(
        'POST',
        _ALL,
        create,
        f'{_RULE}:create',
        body=schemas.CREATE,
        until=_UNTIL,
    ),
    Route('GET', _ONE, show, f'{_RULE}:show', until=_UNTIL),
    Route('DELETE', _ONE, show, f'{_RULE}:delete', until=_UNTIL),
    Route(
        'GET',
        '/os-floating-ip-pools',
        list_pools,
        'os_compute_api:os-floating-ip-pools',
        until=_UNTIL,
    ),
)
