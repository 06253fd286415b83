# SPDX-License-Identifier: Apache-2.0
"""Requests that the host of a server answers while they wait.

They begin no operation and change nothing.
"""

from collections.abc import Callable
from typing import Final
from typing import TypeVar

from minova import exception
from minova.api.http.request import ApiRequest
from minova.conf import CONF
from minova.db.connections.engine import Connection
from minova.db.queries import instances
from minova.engine import begin
from minova.objects.instance import Instance
from minova.rpc.compute import Compute

T = TypeVar('T')

_CALLEE: Final = 'The host of the server'


def get_instance(request: ApiRequest, server_id: str) -> Instance:
    """Return a server that is visible to the caller."""
    scope = request.scope
    instance = request.database.read(
        lambda connection: instances.get(connection, server_id, scope)
    )
    if instance is None:
        raise exception.InstanceNotFound(instance_id=server_id)
    request.require_owner(instance)
    return instance


def call_host(
    request: ApiRequest, instance: Instance, call: Callable[[Compute], T]
) -> T:
    """Call a server's host; RpcTimeout after ``[api] compute_timeout``.

    NoConsumer, without the name of the host, when nothing listens there.
    """
    if instance.host is None:
        raise exception.InstanceNotReady(
            instance_id=instance.uuid, reason='it has no host'
        )
    compute = request.backend.computes.for_host(instance.host)
    try:
        return request.backend.timed_calls.call(
            CONF.api.compute_timeout, lambda: call(compute), _CALLEE
        )
    except exception.NoConsumer as error:
        raise exception.NoConsumer(what=_CALLEE, reason=str(error)) from error


def require_host_up(
    request: ApiRequest, instance: Instance, action: str
) -> None:
    """Raise HostDown when the server's host is known to be down."""

    def is_down(connection: Connection) -> bool:
        return begin.is_known_down(connection, instance.host)

    if request.database.read(is_down):
        raise exception.HostDown(
            operation=action, instance_id=instance.uuid, host=instance.host
        )
