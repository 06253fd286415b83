# SPDX-License-Identifier: Apache-2.0
"""The metadata of a server: what its owner notes of it."""

from typing import Any
from typing import Final

import orjson

from minova import exception
from minova.api import edits
from minova.api import quotas
from minova.api.ask import Ask
from minova.api.routes import Route
from minova.api.schemas import servers as schemas
from minova.objects.instance import Instance

Items = dict[str, str]


def index(ask: Ask, server_id: str) -> Any:
    """Show all items."""
    return {'metadata': _items(ask, server_id)}


def show(ask: Ask, server_id: str, key: str) -> Any:
    """Show one item."""
    found = _items(ask, server_id)
    _require(found, key)
    return {'meta': {key: found[key]}}


def _items(ask: Ask, server_id: str) -> Items:
    items: Items = orjson.loads(ask.server(server_id).metadata)
    return items


def add(ask: Ask, server_id: str) -> Any:
    """Add items, in place of those of the same names."""
    given = ask.body['metadata']
    return {'metadata': _write(ask, server_id, lambda old: old | given)}


def replace(ask: Ask, server_id: str) -> Any:
    """Replace all items."""
    given = ask.body['metadata']
    return {'metadata': _write(ask, server_id, lambda old: given)}


def put(ask: Ask, server_id: str, key: str) -> Any:
    """Set one item, which the body must name as the URL does."""
    given = ask.body['meta']
    if list(given) != [key]:
        raise exception.InvalidInput('Request body and URI mismatch')
    _write(ask, server_id, lambda old: old | given)
    return {'meta': given}


def remove(ask: Ask, server_id: str, key: str) -> None:
    """Remove one item."""

    def without(old: Items) -> Items:
        _require(old, key)
        return {name: old[name] for name in old if name != key}

    _write(ask, server_id, without)


def _require(items: Items, key: str) -> None:
    if key not in items:
        raise exception.NotFound(f'Metadata item {key[:64]} was not found')


def _write(ask: Ask, server_id: str, change: Any) -> Items:
    def change_instance(instance: Instance) -> dict[str, Any]:
        items = change(instance.metadata)
        quotas.require_metadata(len(items))
        return {'metadata': items}

    return edits.change(ask, server_id, change_instance).metadata


_RULE: Final = 'os_compute_api:server-metadata'
_ALL: Final = '/servers/{server_id}/metadata'
_ONE: Final = f'{_ALL}/{{key}}'
_ITEMS: Final = schemas.METADATA
ROUTES: Final = (
    Route('GET', _ALL, index, f'{_RULE}:index'),
    Route('POST', _ALL, add, f'{_RULE}:create', body=_ITEMS),
    Route('PUT', _ALL, replace, f'{_RULE}:update_all', body=_ITEMS),
    Route('GET', _ONE, show, f'{_RULE}:show'),
    Route('PUT', _ONE, put, f'{_RULE}:update', body=schemas.META),
    Route('DELETE', _ONE, remove, f'{_RULE}:delete', 204),
)
