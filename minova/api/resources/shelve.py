# SPDX-License-Identifier: Apache-2.0
"""Shelve, shelveOffload and unshelve.

Unshelve takes a zone since 2.77, which the server then stays in, and a host
since 2.91; a zone of null lets the server change zones again.
"""

from minova import clock
from minova import exception
from minova import states
from minova.api.http.request import ApiRequest
from minova.api.resources import create_image
from minova.api.resources import requested_host
from minova.api.resources import vtpm
from minova.api.resources.requested_host import RequestedHost
from minova.api.schemas.types import Json
from minova.db.connections.engine import Connection
from minova.db.queries import hosts
from minova.db.queries import instances
from minova.images import Image
from minova.objects.instance import Instance
from minova.objects.operation_params import ShelveParams
from minova.objects.operation_params import UnshelveParams

_MAX_NAME = 255
_SUFFIX = '-shelved'


def shelve(request: ApiRequest, server_id: str) -> None:
    """Begin to shelve a server."""
    image_id = clock.uuid4()

    def prepare(connection: Connection, instance: Instance) -> ShelveParams:
        vtpm.require_no_tpm(instance, 'shelve')
        name = instance.display_name[: _MAX_NAME - len(_SUFFIX)] + _SUFFIX
        return ShelveParams(
            image=create_image.describe_image(
                request, instance, image_id, name, 'snapshot', {}
            )
        )

    request.wake(request.begin('shelve', server_id, prepare))


def shelve_offload(request: ApiRequest, server_id: str) -> None:
    """Begin to remove a shelved server from its host."""
    request.wake(request.begin('shelve_offload', server_id))


def unshelve(request: ApiRequest, server_id: str) -> None:
    """Begin to start a shelved server, in a zone or on a host if named."""
    requested = request.body['unshelve'] or {}
    if requested.get('host') is not None:
        request.require('os_compute_api:os-shelve:unshelve_to_host')
    image = _find_image(request, server_id)

    def prepare(connection: Connection, instance: Instance) -> UnshelveParams:
        is_offloaded = instance.vm_state == states.SHELVED_OFFLOADED
        if requested and not is_offloaded:
            raise exception.UnshelveInstanceInvalidState(
                instance_id=instance.uuid, state=instance.vm_state
            )
        if is_offloaded and image is None:
            raise exception.ShelvedImageMissing(
                instance_id=instance.uuid, image_id=instance.shelved_image_id
            )
        return describe_destination(connection, instance, requested).replace(
            disk_format=image.disk_format if image else None
        )

    request.wake(request.begin('unshelve', server_id, prepare))


def _find_image(request: ApiRequest, server_id: str) -> Image | None:
    """Return the image of a shelved server, None if there is none."""
    instance = request.database.read(
        lambda connection: instances.get(connection, server_id, request.scope)
    )
    if instance is None or instance.shelved_image_id is None:
        return None
    try:
        return request.backend.images.show(
            request.context, instance.shelved_image_id
        )
    except exception.ImageNotFound:
        return None


def describe_destination(
    connection: Connection, instance: Instance, requested: Json
) -> UnshelveParams:
    """Return where the server may go; raise for a place that is not there."""
    zone, host = requested.get('availability_zone'), requested.get('host')
    pinned = instance.request_spec.availability_zone
    sets_zone = 'availability_zone' in requested
    requested_host.require_exists(connection, RequestedHost(zone, host))
    wanted = zone if sets_zone else pinned
    if host is not None and wanted is not None:
        zones = {
            row.availability_zone
            for row in hosts.list_hosts(connection)
            if host in (row.host, row.hypervisor_hostname)
        }
        if zones != {wanted}:
            raise exception.UnshelveHostNotInAZ(
                host=host, availability_zone=wanted
            )
    return UnshelveParams(
        host=host,
        sets_zone=sets_zone,
        availability_zone=zone,
        previous_zone=pinned,
    )
