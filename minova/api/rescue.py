# SPDX-License-Identifier: Apache-2.0
"""Rescue: a server starts from another image, to repair its own disk."""

import secrets
from typing import Any

from minova import exception
from minova.api import boot_images
from minova.api.ask import Ask
from minova.db import operations
from minova.db.engine import Connection
from minova.images import Image
from minova.objects.instance import Instance
from minova.operations import begin


def rescue(ask: Ask, server_id: str) -> Any:
    """Begin to start a server from a rescue image, by default its own.

    The password is only told, as that of a new server: an image that wants
    one must be made so.
    """
    asked = ask.body['rescue'] or {}
    wanted = asked.get('rescue_image_ref')
    image = _find(ask, wanted, ask.server(server_id).image_ref)

    def prepare(connection: Connection, instance: Instance) -> begin.Params:
        if image is None:
            return {}
        needs = {'min_ram': image.min_ram}
        boot_images.require_still_fit(needs, instance.flavor)
        return {
            'rescue': {
                'image_id': image.id,
                'name': image.name or image.id,
                'disk_format': image.disk_format,
            }
        }

    ask.wake(ask.begin('rescue', server_id, prepare))
    return {'adminPass': asked.get('adminPass') or secrets.token_urlsafe(9)}


def _find(ask: Ask, wanted: str | None, own: str) -> Image | None:
    """Return the image to rescue with; None for its own that is gone.

    The host may still have that one; if not, the rescue is taken back.
    """
    if wanted is not None:
        return boot_images.find(ask, wanted)
    try:
        return ask.backend.images.show(ask.context, own)
    except exception.ImageNotFound:
        return None


def unrescue(ask: Ask, server_id: str) -> None:
    """Begin to start a server from its own disk again."""

    def prepare(connection: Connection, instance: Instance) -> begin.Params:
        # What is needed when it has to be rescued again.
        for operation in operations.of_instance(connection, instance.uuid):
            if operation.kind == 'rescue' and 'rescue' in operation.params:
                return {'rescue': operation.params['rescue']}
        return {}

    ask.wake(ask.begin('unrescue', server_id, prepare))
