# SPDX-License-Identifier: Apache-2.0
"""os-resetState: an administrator says in which state a server is."""

from minova.api.http.request import ApiRequest
from minova.db.connections.engine import Connection
from minova.engine import state_reset
from minova.objects.instance import Instance
from minova.objects.operation_params import ResetStateParams


def reset_state(request: ApiRequest, server_id: str) -> None:
    """End the operation that owns a server; make it active or error."""
    state = request.body['os-resetState']['state']

    def prepare(
        connection: Connection, instance: Instance
    ) -> ResetStateParams:
        return state_reset.describe(connection, instance, state)

    request.wake(request.begin('reset_state', server_id, prepare))
