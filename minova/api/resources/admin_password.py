# SPDX-License-Identifier: Apache-2.0
"""The password of the administrator in a server.

The password is in the request and in one message to the host, and nowhere
else. The database has it encrypted for the owner of the server's key.
"""

from typing import Final

from oslo_log import log as logging

from minova import exception
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.resources import host_calls
from minova.api.resources import server_update
from minova.api.views import Document
from minova.db.connections.engine import Connection
from minova.extra_specs import parser
from minova.objects.instance import Instance
from minova.objects.operation_params import AdminPasswordParams

LOG = logging.getLogger(__name__)

_WINDOWS_USER: Final = 'Administrator'
_USER: Final = 'root'


def change_password(request: ApiRequest, server_id: str) -> None:
    """Set the password; wait for the host.

    Without an answer in time the reply is the same, and the actions of the
    server show the outcome.
    """
    password = request.body['changePassword']['adminPass']

    def prepare(
        connection: Connection, instance: Instance
    ) -> AdminPasswordParams:
        _require_agent(instance)
        return AdminPasswordParams(user=_admin_user(instance))

    begun = request.begin('set_admin_password', server_id, prepare)
    try:
        host_calls.call_host(
            request,
            begun.instance,
            lambda compute: compute.deliver_password(
                request.context, step=begun.first_step, password=password
            ),
        )
    except exception.NoConsumer as error:
        raise exception.NoConsumer(
            what='The password was not set: the host of the server',
            reason=str(error),
        ) from error
    except exception.RpcTimeout as error:
        LOG.warning('Password of %s: %s', server_id, error)


def _require_agent(instance: Instance) -> None:
    flavor = instance.flavor
    found = parser.parse(
        flavor.extra_specs, instance.image_meta, flavor.vcpus, flavor.memory_mb
    ).requirements
    if not found.agent:
        raise exception.InstanceAgentNotEnabled


def _admin_user(instance: Instance) -> str:
    """Return the name in ``os_admin_user`` of the image, or the usual one."""
    usual = _WINDOWS_USER if instance.os_type == 'windows' else _USER
    return str(instance.image_meta.get('os_admin_user') or usual)


def show_password(request: ApiRequest, server_id: str) -> Document:
    """Show the encrypted password; empty when it is not known."""
    instance = host_calls.get_instance(request, server_id)
    return {'password': instance.encrypted_password or ''}


def clear_password(request: ApiRequest, server_id: str) -> None:
    """Forget the encrypted password; the guest keeps its own."""

    def change(
        connection: Connection, instance: Instance
    ) -> server_update.Changes:
        request.require_unlocked(instance)
        return {'encrypted_password': None}

    server_update.update_instance(request, server_id, change)


ROUTES: Final = (
    Route(
        'GET',
        '/servers/{server_id}/os-server-password',
        show_password,
        'os_compute_api:os-server-password:show',
    ),
    Route(
        'DELETE',
        '/servers/{server_id}/os-server-password',
        clear_password,
        'os_compute_api:os-server-password:clear',
        204,
    ),
)
