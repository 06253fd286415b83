# SPDX-License-Identifier: Apache-2.0
"""Delete, soft delete, restore and force-delete of servers."""

from minova import exception
from minova import states
from minova.api.http.request import ApiRequest
from minova.conf import CONF
from minova.db.connections.engine import Connection
from minova.db.queries import instances
from minova.db.queries import migrations
from minova.engine import begin
from minova.objects.instance import Instance
from minova.objects.operation_params import NoParams
from minova.objects.operation_params import OperationParams
from minova.objects.operation_params import SoftDeleteParams
from minova.objects.operation_params import UnconfirmedResizeParams
from minova.quotas import checks

_DELETING = (
    *states.TABLE['delete'].task_states,
    *states.TABLE['soft_delete'].task_states,
)


def delete(request: ApiRequest, server_id: str) -> None:
    """Begin to delete a server, unless its deletion is in progress.

    With ``reclaim_instance_interval`` a server that was built is kept for that
    time: it must not be busy, because its guest must be known to be intact.
    """

    def work(connection: Connection) -> list[begin.Begun]:
        instance = instances.get(
            connection, server_id, request.scope, lock=True
        )
        if instance is None:
            raise exception.InstanceNotFound(instance_id=server_id)
        request.require_owner(instance)
        request.require_unlocked(instance)
        if instance.task_state in _DELETING:
            return []
        if _is_soft_deletable(instance):
            return _soft_delete(request, connection, instance)
        return [
            _begin(
                request,
                connection,
                'delete',
                instance,
                begin.delete_params(connection, instance),
            )
        ]

    for begun in request.database.write(work):
        request.wake(begun)


def _begin(
    request: ApiRequest,
    connection: Connection,
    kind: str,
    instance: Instance,
    params: OperationParams,
) -> begin.Begun:
    return begin.begin_locked(
        connection,
        request.context,
        kind,
        instance,
        request.backend.publisher_id,
        params,
    )


def _is_soft_deletable(instance: Instance) -> bool:
    """Tell whether there is something of a server that can be restored."""
    if CONF.conductor.reclaim_instance_interval <= 0:
        return False
    was_built = (
        instance.launched_at is not None
        and instance.vm_state != states.BUILDING
    )
    is_somewhere = instance.host is not None or instance.vm_state in (
        states.SHELVED_OFFLOADED,
        states.SOFT_DELETE,
    )
    return was_built and is_somewhere


def _soft_delete(
    request: ApiRequest, connection: Connection, instance: Instance
) -> list[begin.Begun]:
    """Begin the soft delete; confirm a finished resize before."""
    if instance.task_id is not None:
        raise exception.InstanceInvalidState(
            operation='delete',
            instance_id=instance.uuid,
            attribute='task_state',
            state=instance.task_state,
            needed='try again when that operation has ended, or use '
            'forceDelete, after which the server cannot be restored',
        )
    if instance.vm_state == states.SOFT_DELETE:
        return []
    begun = []
    if instance.vm_state == states.RESIZED:
        migration = migrations.get_unconfirmed(connection, instance.uuid)
        if migration is not None:
            confirmation = UnconfirmedResizeParams(migration_id=migration.id)
            begun.append(
                _begin(
                    request,
                    connection,
                    'confirm_resize',
                    instance,
                    confirmation,
                )
            )
    is_down = begin.delete_params(connection, instance).host_down
    params = SoftDeleteParams(host_down=is_down)
    begun.append(_begin(request, connection, 'soft_delete', instance, params))
    return begun


def restore(request: ApiRequest, server_id: str) -> None:
    """Begin to restore a soft-deleted server, if the quota allows it."""

    def prepare(connection: Connection, instance: Instance) -> NoParams:
        quota = checks.ServerQuota(
            connection, instance.project_id, instance.user_id
        )
        quota.count_that_fits(instance.flavor, 1, 1)
        return NoParams()

    request.wake(request.begin('restore', server_id, prepare))


def force_delete(request: ApiRequest, server_id: str) -> None:
    """Delete a server at once, also during any other operation."""
    request.wake(request.begin('force_delete', server_id, begin.delete_params))
