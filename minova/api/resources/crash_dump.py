# SPDX-License-Identifier: Apache-2.0
"""Trigger a crash dump in a server."""

from minova.api.http.request import ApiRequest
from minova.db.connections.engine import Connection
from minova.engine import begin
from minova.objects.instance import Instance
from minova.objects.operation_params import NoParams

_KIND = 'trigger_crash_dump'


def trigger_crash_dump(request: ApiRequest, server_id: str) -> None:
    """Begin to interrupt a server; HostDown while its host is down."""

    def prepare(connection: Connection, instance: Instance) -> NoParams:
        begin.require_host_up(connection, _KIND, instance, instance.host)
        return NoParams()

    request.wake(request.begin(_KIND, server_id, prepare))
