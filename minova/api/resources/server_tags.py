# SPDX-License-Identifier: Apache-2.0
"""The tags of a server, at most 50, which have no order."""

from collections.abc import Callable
from typing import Final

from minova import clock
from minova import exception
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.resources import server_update
from minova.api.schemas import servers as schemas
from minova.api.schemas import types
from minova.api.schemas.bodies import BodySchema
from minova.api.views import Document
from minova.db.connections.engine import Connection
from minova.db.queries import instance_tags
from minova.objects.instance import Instance

Tags = list[str]

_MAX_TAGS: Final[int] = types.TAGS['maxItems']
_TAG: Final = BodySchema({1: types.TAG})


def index(request: ApiRequest, server_id: str) -> Document:
    """List the tags."""
    return {'tags': _tags(request, server_id)}


def show(request: ApiRequest, server_id: str, tag: str) -> None:
    """Check that a server has a tag: 204, or 404."""
    _require(server_id, _tags(request, server_id), tag)


def _tags(request: ApiRequest, server_id: str) -> Tags:
    request.get_server(server_id)
    return request.database.read(
        lambda connection: instance_tags.list_tags(connection, server_id)
    )


def update_all(request: ApiRequest, server_id: str) -> Document:
    """Replace all tags."""
    given = sorted(set(request.body['tags']))
    return {'tags': _write(request, server_id, lambda old: given)}


def update(request: ApiRequest, server_id: str, tag: str) -> None:
    """Add a tag: 201, or 204 if the server has it already."""
    _TAG.validate(tag, request.version)
    known = False

    def with_tag(old: Tags) -> Tags:
        nonlocal known
        known = tag in old
        if len(old) >= _MAX_TAGS and not known:
            raise exception.InvalidInput(
                f'The number of tags exceeded the per-server limit {_MAX_TAGS}'
            )
        return old if known else sorted([*old, tag])

    _write(request, server_id, with_tag)
    request.status = 204 if known else 201
    path = f'servers/{server_id}/tags/{tag}'
    request.location = request.links.href(path)


def delete(request: ApiRequest, server_id: str, tag: str) -> None:
    """Delete a tag."""

    def without(old: Tags) -> Tags:
        _require(server_id, old, tag)
        return [one for one in old if one != tag]

    _write(request, server_id, without)


def delete_all(request: ApiRequest, server_id: str) -> None:
    """Delete all tags."""
    _write(request, server_id, lambda old: [])


def _require(server_id: str, tags: Tags, tag: str) -> None:
    if tag not in tags:
        raise exception.NotFound(f"Server {server_id} has no tag '{tag[:64]}'")


def _write(
    request: ApiRequest, server_id: str, change: Callable[[Tags], Tags]
) -> Tags:
    new: Tags = []

    def change_tags(
        connection: Connection, instance: Instance
    ) -> server_update.Changes:
        nonlocal new
        old = instance_tags.list_tags(connection, server_id)
        new = change(old)
        if new == old:
            return {}
        instance_tags.replace(connection, server_id, new)
        return {'updated_at': clock.now()}

    server_update.update_instance(request, server_id, change_tags)
    return new


_RULE: Final = 'os_compute_api:os-server-tags'
_ALL: Final = '/servers/{server_id}/tags'
_ONE: Final = f'{_ALL}/{{tag}}'
ROUTES: Final = (
    Route('GET', _ALL, index, f'{_RULE}:index', since=26),
    Route(
        'PUT',
        _ALL,
        update_all,
        f'{_RULE}:update_all',
        body=schemas.TAGS,
        since=26,
    ),
    Route('DELETE', _ALL, delete_all, f'{_RULE}:delete_all', 204, since=26),
    Route('GET', _ONE, show, f'{_RULE}:show', 204, since=26),
    Route('PUT', _ONE, update, f'{_RULE}:update', 201, since=26),
    Route('DELETE', _ONE, delete, f'{_RULE}:delete', 204, since=26),
)
