# SPDX-License-Identifier: Apache-2.0
"""The metadata of a server."""

from collections.abc import Callable
from typing import Final

import orjson

from minova import exception
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.resources import server_update
from minova.api.schemas import servers as schemas
from minova.api.views import Document
from minova.db.connections.engine import Connection
from minova.objects.instance import Instance
from minova.quotas import checks

Items = dict[str, str]


def index(request: ApiRequest, server_id: str) -> Document:
    """List all items."""
    return {'metadata': _items(request, server_id)}


def show(request: ApiRequest, server_id: str, key: str) -> Document:
    """Show one item."""
    found = _items(request, server_id)
    _require(found, key)
    return {'meta': {key: found[key]}}


def _items(request: ApiRequest, server_id: str) -> Items:
    items: Items = orjson.loads(request.get_server(server_id).metadata)
    return items


def create(request: ApiRequest, server_id: str) -> Document:
    """Add items; existing keys get the new values."""
    given = request.body['metadata']
    return {'metadata': _write(request, server_id, lambda old: old | given)}


def update_all(request: ApiRequest, server_id: str) -> Document:
    """Replace all items."""
    given = request.body['metadata']
    return {'metadata': _write(request, server_id, lambda old: given)}


def update(request: ApiRequest, server_id: str, key: str) -> Document:
    """Set one item; its key is in the body and in the URL."""
    given = request.body['meta']
    if list(given) != [key]:
        raise exception.InvalidInput('Request body and URI mismatch')
    _write(request, server_id, lambda old: old | given)
    return {'meta': given}


def delete(request: ApiRequest, server_id: str, key: str) -> None:
    """Delete one item."""

    def without(old: Items) -> Items:
        _require(old, key)
        return {name: old[name] for name in old if name != key}

    _write(request, server_id, without)


def _require(items: Items, key: str) -> None:
    if key not in items:
        raise exception.NotFound('Metadata item was not found')


def _write(
    request: ApiRequest, server_id: str, change: Callable[[Items], Items]
) -> Items:
    def change_instance(
        connection: Connection, instance: Instance
    ) -> server_update.Changes:
        request.require_unlocked(instance)
        items = change(instance.metadata)
        if len(items) > len(instance.metadata):
            checks.require_metadata(
                connection, instance.project_id, instance.user_id, len(items)
            )
        return {'metadata': items}

    return server_update.update_instance(
        request, server_id, change_instance
    ).metadata


_RULE: Final = 'os_compute_api:server-metadata'
_ALL: Final = '/servers/{server_id}/metadata'
_ONE: Final = f'{_ALL}/{{key}}'
_ITEMS: Final = schemas.METADATA
ROUTES: Final = (
    Route('GET', _ALL, index, f'{_RULE}:index'),
    Route('POST', _ALL, create, f'{_RULE}:create', body=_ITEMS),
    Route('PUT', _ALL, update_all, f'{_RULE}:update_all', body=_ITEMS),
    Route('GET', _ONE, show, f'{_RULE}:show'),
    Route('PUT', _ONE, update, f'{_RULE}:update', body=schemas.META),
    Route('DELETE', _ONE, delete, f'{_RULE}:delete', 204),
)
