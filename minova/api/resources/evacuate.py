# SPDX-License-Identifier: Apache-2.0
"""Evacuate: another host gets a server whose host is down."""

import secrets

from minova import exception
from minova import states
from minova.api.http.request import ApiRequest
from minova.api.resources import vtpm
from minova.api.schemas import types
from minova.api.schemas.types import Json
from minova.api.views import Document
from minova.db.connections.engine import Connection
from minova.db.queries import hosts
from minova.engine import evacuation
from minova.objects.instance import Instance
from minova.objects.operation_params import EvacuateParams


def evacuate(request: ApiRequest, server_id: str) -> Document | None:
    """Begin an evacuation; the reply has a password below 2.14.

    The password is in the reply only, as for a new server: the image itself
    must accept it.
    """
    requested = request.body['evacuate']
    shared = None
    if 'onSharedStorage' in requested:
        shared = types.to_bool(requested['onSharedStorage'])
    password = _password(requested, shared)
    host = requested.get('host')
    forced = _is_forced(request, requested)
    image_name = _image_name(request, request.get_server(server_id).image_ref)

    def prepare(connection: Connection, instance: Instance) -> EvacuateParams:
        vtpm.require_no_tpm(instance, 'evacuate')
        _require_other_host(connection, instance, host)
        check = evacuation.check_host(connection, str(instance.host))
        evacuation.require_preemptible(connection, instance)
        return EvacuateParams(
            other_hosts=[],
            host=host,
            force=forced,
            fences_host=check.fences_host,
            begins_at=check.begins_at,
            needs_disk_lock=check.needs_disk_lock,
            on_shared_storage=shared,
            target_state=target_state(request.version, instance.vm_state),
            image_name=image_name,
        )

    request.wake(request.begin('evacuate', server_id, prepare))
    return None if request.version >= 14 else {'adminPass': password}


def target_state(version: int, vm_state: str) -> str:
    """Return the vm_state in which an evacuation ends.

    From 2.95 on a user starts the server after a look at it.
    """
    if version >= 95 or vm_state == states.STOPPED:
        return states.STOPPED
    return states.ACTIVE


def _password(requested: Json, shared: bool | None) -> str | None:
    given = requested.get('adminPass')
    if shared and given is not None:
        raise exception.InvalidInput(
            "admin password can't be changed on existing disk"
        )
    if shared:
        return None
    return given or secrets.token_urlsafe(9)


def _is_forced(request: ApiRequest, requested: Json) -> bool:
    """Tell whether the operator takes the host although it is disabled.

    Below 2.29 the reference does not have a named host verified.
    """
    is_named = 'host' in requested
    if request.version < 29:
        return is_named
    forced = types.to_bool(requested.get('force', False))
    if forced and not is_named:
        raise exception.InvalidInput(
            "Can't force to a non-provided destination. Name the host, or "
            'leave force out.'
        )
    return forced


def _image_name(request: ApiRequest, image_ref: str) -> str:
    """Return the name of the server's image for notifications.

    The host may still have the image in its cache when it is deleted.
    """
    try:
        image = request.backend.images.show(request.context, image_ref)
        return image.name or ''
    except (exception.NotFound, exception.Unavailable):
        return ''


def _require_other_host(
    connection: Connection, instance: Instance, host: str | None
) -> None:
    if host is None:
        return
    if host in (instance.host, instance.node):
        raise exception.InvalidInput("The target host can't be the same one.")
    if not any(
        host in (row.host, row.hypervisor_hostname)
        for row in hosts.list_hosts(connection)
    ):
        raise exception.HostNotFound(host=host)
