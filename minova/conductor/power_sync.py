# SPDX-License-Identifier: Apache-2.0
"""Power reconciliation, the deciding half: what a difference leads to.

A compute has compared its hypervisor with the rows it asked for; the rows may
have changed since. So each difference is looked at again here, under the lock
of the row, and nothing is written when the instance has moved on: when an
operation is live, or when its generation is not the one that was compared.
"""

from typing import Final

from oslo_log import log as logging
import sqlalchemy as sa

from minova import clock
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
from minova.states import PowerState
from minova.states import PowerSyncAction

LOG = logging.getLogger(__name__)

#: What an instance is called from then on, where only the row is corrected.
_ADOPTED_VM_STATES: Final = {
    PowerSyncAction.MARK_ACTIVE: states.ACTIVE,
    PowerSyncAction.MARK_STOPPED: states.STOPPED,
}


def reconcile_guest(
    connection: sa.Connection, host: str, guest: GuestReport
) -> list[Wakeup]:
    """Act on what a host says of one guest; return whom to wake."""
    instance = instances.get(connection, guest.uuid, lock=True, deleted=True)
    if instance is None:
        LOG.info('Host %s runs %s, which is none of ours.', host, guest.uuid)
        return []
    if instance.task_id is not None:
        return []
    if instance.host != host or instance.vm_state == states.DELETED:
        return _unowned_guest(connection, host, guest, instance)
    if instance.generation != guest.generation:
        return []
    seen = None if guest.power_state is None else PowerState(guest.power_state)
    adopt = CONF.conductor.unexpected_running_instance_action == 'adopt'
    correction = states.reconcile(seen, instance.vm_state, adopt)
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
            'Instance %s is %s, its guest on %s is %s%s: %s.',
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
    LOG.info('%s of %s: %s.', operation, instance.uuid, correction.value)
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
    """Deal with a guest that is not this host's, or whose row says deleted."""
    if guest.power_state is None:
        return []
    if instance.host == host and instance.vm_state != states.DELETED:
        return []
    move = migrations.get_unconfirmed(connection, instance.uuid)
    if move is not None and move.source_host == host:
        # It is kept for a way back.
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
            'Host %s has a guest of %s, which is in error: left, '
            'for nobody knows which host has its newest disk.',
            host,
            instance.uuid,
        )
        return []
    LOG.warning(
        'Host %s has a guest of %s, which is %s: %s.',
        host,
        instance.uuid,
        instance.vm_state
        if instance.vm_state == states.DELETED
        else f'on {instance.host}',
        'removed'
        if CONF.conductor.running_deleted_instance_action == 'reap'
        else 'left',
    )
    if CONF.conductor.running_deleted_instance_action != 'reap':
        return []
    return begin.cleanup_stale_guest(connection, instance, host).wakeups
