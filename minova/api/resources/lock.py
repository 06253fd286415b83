# SPDX-License-Identifier: Apache-2.0
"""Lock and unlock: a locked server refuses the actions of its owner."""

from typing import Final

from minova.api.http.request import ApiRequest
from minova.db.connections.engine import Connection
from minova.objects.instance import Instance
from minova.objects.instance import LOCKED_BY_ADMIN
from minova.objects.instance import LOCKED_BY_OWNER
from minova.objects.operation_params import LockParams
from minova.objects.operation_params import NoParams

_OVERRIDE: Final = 'os_compute_api:os-lock-server:unlock:unlock_override'


def lock(request: ApiRequest, server_id: str) -> None:
    """Lock a server, with a reason since microversion 2.73."""
    reason = (request.body['lock'] or {}).get('locked_reason')

    def prepare(connection: Connection, instance: Instance) -> LockParams:
        return LockParams(
            locked_by=_locked_by(request, instance), reason=reason
        )

    request.begin('lock', server_id, prepare)


def unlock(request: ApiRequest, server_id: str) -> None:
    """Unlock a server; the lock of an administrator needs one."""

    def prepare(connection: Connection, instance: Instance) -> NoParams:
        if instance.locked_by not in (None, _locked_by(request, instance)):
            request.require(_OVERRIDE, instance.project_id, instance.user_id)
        return NoParams()

    request.begin('unlock', server_id, prepare)


def _locked_by(request: ApiRequest, instance: Instance) -> str:
    """Return as whom the caller locks: as the owner in its own project."""
    is_owner = instance.project_id == request.context.project_id
    return LOCKED_BY_OWNER if is_owner else LOCKED_BY_ADMIN
