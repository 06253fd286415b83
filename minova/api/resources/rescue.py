# SPDX-License-Identifier: Apache-2.0
"""Rescue: a server starts from another image, to repair its own disk."""

import secrets

from minova import exception
from minova.api.http.request import ApiRequest
from minova.api.resources import boot_images
from minova.api.schemas import types
from minova.api.views import Document
from minova.db.connections.engine import Connection
from minova.db.queries import operations
from minova.images import Image
from minova.objects.instance import Instance
from minova.objects.operation_params import RescueImage
from minova.objects.operation_params import RescueParams


def rescue(request: ApiRequest, server_id: str) -> Document:
    """Begin to start a server from a rescue image; the default is its own.

    The password is in the reply only, as for a new server: the image itself
    must accept it.
    """
    requested = request.body['rescue'] or {}
    image_ref = requested.get('rescue_image_ref')
    image = _find_rescue_image(
        request, image_ref, request.get_server(server_id).image_ref
    )

    def prepare(connection: Connection, instance: Instance) -> RescueParams:
        if image is None:
            return RescueParams()
        image_meta = {'min_ram': str(image.min_ram)}
        boot_images.require_properties_fit(image_meta, instance.flavor)
        boot_images.require_rescue_disk_fits(image, instance.flavor)
        return RescueParams(
            image=RescueImage(
                image_id=image.id,
                name=image.name or image.id,
                disk_format=image.disk_format,
            )
        )

    request.wake(request.begin('rescue', server_id, prepare))
    return {
        'adminPass': requested.get('adminPass') or secrets.token_urlsafe(9)
    }


def _find_rescue_image(
    request: ApiRequest, image_ref: str | None, own_image_ref: str
) -> Image | None:
    """Return the rescue image; None for the server's image that is deleted.

    The host may still have that image in its cache; if not, the operation is
    rolled back.
    """
    if image_ref is not None:
        return boot_images.get_bootable_image(
            request, types.reference_id(image_ref)
        )
    try:
        return request.backend.images.show(request.context, own_image_ref)
    except exception.ImageNotFound:
        return None


def unrescue(request: ApiRequest, server_id: str) -> None:
    """Begin to start a server from its own disk again."""

    def prepare(connection: Connection, instance: Instance) -> RescueParams:
        # The undo of a failed unrescue starts the guest from this image.
        for operation in operations.list_by_instance(
            connection, instance.uuid
        ):
            params = operation.params
            if isinstance(params, RescueParams) and params.image is not None:
                return RescueParams(image=params.image)
        return RescueParams()

    request.wake(request.begin('unrescue', server_id, prepare))
