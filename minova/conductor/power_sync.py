# SPDX-License-Identifier: Apache-2.0
"""Power reconciliation on the conductor: what a difference leads to.

A compute compares its hypervisor with rows that may change meanwhile. So each
difference is checked again here, under the lock of the row. Nothing is written
when an operation is live, or when the generation of the instance is not the
one that the compute has compared.
"""

from typing import Final

from oslo_log import log as logging
import sqlalchemy as sa

from minova import clock
from minova import power_reconciliation
from minova import states
from minova.conf import CONF
from minova.context import get_admin_context
from minova.db.queries import instances
from minova.db.queries import migrations
from minova.db.queries import operations
from minova.engine import begin
from minova.engine import operator_actions
from minova.notifications import events
from minova.objects.host import GuestReport
from minova.objects.instance import Instance
from minova.objects.operation_params import NoParams
from minova.objects.operation_params import OperationParams
from minova.objects.operation_params import PowerSyncParams
from minova.objects.step import Wakeup
from minova.power_reconciliation import PowerSyncAction
from minova.states import PowerState

LOG = logging.getLogger(__name__)

#: The new vm_state, where only the row is corrected.
_ADOPTED_VM_STATES: Final = {
    PowerSyncAction.MARK_ACTIVE: states.ACTIVE,
    PowerSyncAction.MARK_STOPPED: states.STOPPED,
}


def reconcile_guest(
    connection: sa.Connection, host: str, guest: GuestReport
) -> list[Wakeup]:
    """Act on the report of one guest; return the wake-ups to send."""
    instance = instances.get(connection, guest.uuid, lock=True, deleted=True)
    if instance is None:
        LOG.debug(
            'Host %s: domain %s is not managed by Minova; ignored',
            host,
            guest.uuid,
        )
        return []
    if instance.task_id is not None:
        return []
    if instance.host != host or instance.vm_state == states.DELETED:
        return _unowned_guest(connection, host, guest, instance)
    if instance.generation != guest.generation:
        return []
    seen = None if guest.power_state is None else PowerState(guest.power_state)
    adopt = CONF.conductor.unexpected_running_instance_action == 'adopt'
    correction = power_reconciliation.reconcile(seen, instance.vm_state, adopt)
    if _must_update_power_state(correction, instance, seen):
        _update_power_state(connection, instance, seen or PowerState.NOSTATE)
    return _apply_correction(connection, host, guest, instance, correction)


def _must_update_power_state(
    correction: PowerSyncAction, instance: Instance, seen: PowerState | None
) -> bool:
    if correction in _ADOPTED_VM_STATES or correction is PowerSyncAction.NONE:
        return False
    return instance.power_state != (seen or PowerState.NOSTATE)


def _update_power_state(
    connection: sa.Connection, instance: Instance, power: PowerState
) -> None:
    values = {'power_state': int(power), 'updated_at': clock.now()}
    instances.update(
        connection,
        instance.uuid,
        values,
        generation=instance.generation,
        task_id=None,
    )
    instance.power_state = int(power)


def _apply_correction(
    connection: sa.Connection,
    host: str,
    guest: GuestReport,
    instance: Instance,
    correction: PowerSyncAction,
) -> list[Wakeup]:
    if (
        correction is PowerSyncAction.RECORD_AND_WARN
        or correction in _ADOPTED_VM_STATES
    ):
        LOG.warning(
            'Instance %s: vm_state is %s, the guest on host %s is %s%s; '
            'decision: %s',
            instance.uuid,
            instance.vm_state,
            host,
            'missing'
            if guest.power_state is None
            else PowerState(guest.power_state).name,
            f' ({guest.reason})' if guest.reason else '',
            correction.value,
        )
    operation = {
        PowerSyncAction.STOP_INSTANCE: 'stop',
        PowerSyncAction.ENFORCE_STOP: 'enforce_stop',
        PowerSyncAction.ENFORCE_PAUSE: 'enforce_pause',
    }.get(correction)
    params: OperationParams = NoParams()
    if correction in _ADOPTED_VM_STATES and guest.power_state is not None:
        operation = 'power_sync'
        params = PowerSyncParams(
            vm_state=_ADOPTED_VM_STATES[correction],
            power_state=int(PowerState(guest.power_state)),
        )
    if operation is None:
        return []
    LOG.info(
        'Instance %s: begins %s; decision: %s',
        instance.uuid,
        operation,
        correction.value,
    )
    return begin.begin_locked(
        connection,
        get_admin_context(),
        operation,
        instance,
        events.publisher_id('compute', host),
        params,
    ).wakeups


def _unowned_guest(
    connection: sa.Connection,
    host: str,
    guest: GuestReport,
    instance: Instance,
) -> list[Wakeup]:
    """Decide about a guest of another host or of a deleted instance."""
    if guest.power_state is None:
        return []
    if instance.host == host and instance.vm_state != states.DELETED:
        return []
    move = migrations.get_unconfirmed(connection, instance.uuid)
    if move is not None and move.source_host == host:
        # The source keeps the old guest until the resize is confirmed.
        return []
    if any(
        step.host == host
        for step in operations.list_open_steps_of_instance(
            connection, instance.uuid
        )
    ):
        return []
    if operator_actions.disk_location_unknown(connection, instance):
        LOG.warning(
            'Host %s: stale guest of instance %s is kept: it is not known '
            'which host has the newest disk',
            host,
            instance.uuid,
        )
        return []
    LOG.warning(
        'Host %s: stale guest of instance %s, which is %s; decision: %s',
        host,
        instance.uuid,
        instance.vm_state
        if instance.vm_state == states.DELETED
        else f'on host {instance.host}',
        'remove the guest'
        if CONF.conductor.running_deleted_instance_action == 'reap'
        else 'keep the guest',
    )
    if CONF.conductor.running_deleted_instance_action != 'reap':
        return []
    return begin.cleanup_stale_guest(connection, instance, host).wakeups
