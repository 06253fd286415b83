# SPDX-License-Identifier: Apache-2.0
"""Rebuild: a server gets a new root disk."""

import secrets
from typing import Final

from minova.api.http.request import ApiRequest
from minova.api.resources import boot_images
from minova.api.resources import key_pairs
from minova.api.resources import server_create
from minova.api.resources import servers
from minova.api.schemas import servers as schemas
from minova.api.schemas import types
from minova.api.schemas.types import Json
from minova.api.views import Document
from minova.db.connections.engine import Connection
from minova.images import Image
from minova.objects.instance import Instance
from minova.objects.operation_params import RebuildParams
from minova.quotas import checks

#: The fields of a body that replace a field of the instance as they are.
_PLAIN_FIELDS: Final = ('metadata', 'hostname')


def rebuild(request: ApiRequest, server_id: str) -> Document:
    """Begin to rebuild a server; show it as it will be.

    The password is in the reply only, as for a new server: the image itself
    must accept it.
    """
    body = request.body['rebuild']
    request.get_server(server_id)
    server_create.refuse_unsupported_content(body, 'rebuild')
    image = boot_images.get_bootable_image(
        request, types.reference_id(body['imageRef'])
    )

    def prepare(connection: Connection, instance: Instance) -> RebuildParams:
        boot_images.require_rebuild_fits(request, image, instance.flavor)
        boot_images.require_same_cells(image, instance)
        if 'metadata' in body:
            checks.require_metadata(
                connection,
                instance.project_id,
                instance.user_id,
                len(body['metadata']),
            )
        changes = _find_changes(connection, request, image, instance)
        return RebuildParams(
            image_name=image.name or '',
            changes=changes,
            before={name: getattr(instance, name) for name in changes},
            preserve_ephemeral=types.to_bool(
                body.get('preserve_ephemeral', False)
            ),
        )

    begun = request.begin('rebuild', server_id, prepare)
    request.wake(begun)
    row = servers.get_row(request, server_id)
    view = request.make_server_view(row.project_id)
    result = view.rebuild_response(
        row,
        request.get_faults(row).get(server_id),
        begun.instance.user_data,
    )
    links = request.links.resource_links('servers', server_id)
    request.location = links[0]['href']
    result['adminPass'] = body.get('adminPass') or secrets.token_urlsafe(9)
    return {'server': result}


def _find_changes(
    connection: Connection,
    request: ApiRequest,
    image: Image,
    instance: Instance,
) -> Json:
    """Return the fields of the instance that the rebuild changes."""
    body = request.body['rebuild']
    found = schemas.instance_changes(body)
    found |= boot_images.instance_fields(image)
    found |= {name: body[name] for name in _PLAIN_FIELDS if name in body}
    if 'user_data' in body:
        found['user_data'] = body['user_data'] or None
    if 'key_name' in body:
        key = {'key_name': None, 'key_data': None}
        found |= key | key_pairs.fields_for_server(connection, request, body)
    if boot_images.needs_config_drive(image):
        found['config_drive'] = True
    return {
        name: value
        for name, value in found.items()
        if value != getattr(instance, name)
    }
