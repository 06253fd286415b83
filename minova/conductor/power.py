# SPDX-License-Identifier: Apache-2.0
"""Power reconciliation, the deciding half: what a difference leads to.

A compute has compared its hypervisor with the rows it asked for; the rows may
have changed since. So each difference is looked at again here, under the lock
of the row, and nothing is written when the instance has moved on: when an
operation is live, or when its generation is not the one that was compared.
"""

from typing import Any
from typing import Final

from oslo_log import log as logging
import sqlalchemy as sa

from minova import clock
from minova import states
from minova.conf import CONF
from minova.context import internal
from minova.db import instances
from minova.db import moves
from minova.db import operations
from minova.notifications import events
from minova.objects.host import GuestReport
from minova.objects.instance import Instance
from minova.objects.step import Wake
from minova.operations import begin
from minova.operations import intervene
from minova.states import Correction
from minova.states import Power

LOG = logging.getLogger(__name__)

#: What an instance is called from then on, where only the row is corrected.
_ADOPTED: Final = {
    Correction.ADOPT: states.ACTIVE,
    Correction.ADOPT_OFF: states.STOPPED,
}


def correct(
    connection: sa.Connection, host: str, guest: GuestReport
) -> list[Wake]:
    """Act on what a host says of one guest; return whom to wake."""
    instance = instances.get(connection, guest.uuid, lock=True, deleted=True)
    if instance is None:
        LOG.info('Host %s runs %s, which is none of ours.', host, guest.uuid)
        return []
    if instance.task_id is not None:
        return []
    if instance.host != host or instance.vm_state == states.DELETED:
        return _stranger(connection, host, guest, instance)
    if instance.generation != guest.generation:
        return []
    seen = None if guest.power_state is None else Power(guest.power_state)
    adopt = CONF.conductor.unexpected_running == 'adopt'
    correction = states.reconcile(seen, instance.vm_state, adopt)
    if _must_note(correction, instance, seen):
        _note_power(connection, instance, seen or Power.NOSTATE)
    return _act(connection, host, guest, instance, correction)


def _must_note(
    correction: Correction, instance: Instance, seen: Power | None
) -> bool:
    if correction in _ADOPTED or correction is Correction.NONE:
        return False
    return instance.power_state != (seen or Power.NOSTATE)


def _note_power(
    connection: sa.Connection, instance: Instance, power: Power
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


def _act(
    connection: sa.Connection,
    host: str,
    guest: GuestReport,
    instance: Instance,
    correction: Correction,
) -> list[Wake]:
    if correction is Correction.WARN or correction in _ADOPTED:
        LOG.warning(
            'Instance %s is %s, its guest on %s is %s%s: %s.',
            instance.uuid,
            instance.vm_state,
            host,
            'missing'
            if guest.power_state is None
            else Power(guest.power_state).name,
            f' ({guest.reason})' if guest.reason else '',
            correction.value,
        )
    operation = {
        Correction.STOP: 'stop',
        Correction.STOP_GUEST: 'stop_again',
        Correction.PAUSE_GUEST: 'pause_again',
    }.get(correction)
    params: dict[str, Any] = {}
    if correction in _ADOPTED and guest.power_state is not None:
        operation = 'power_sync'
        params = {
            'vm_state': _ADOPTED[correction],
            'power_state': int(Power(guest.power_state)),
        }
    if operation is None:
        return []
    LOG.info('%s of %s: %s.', operation, instance.uuid, correction.value)
    return begin.begin_locked(
        connection,
        internal(),
        operation,
        instance,
        events.publisher('compute', host),
        params,
    ).wakes


def _stranger(
    connection: sa.Connection,
    host: str,
    guest: GuestReport,
    instance: Instance,
) -> list[Wake]:
    """Deal with a guest that is not this host's, or whose row says deleted."""
    if guest.power_state is None:
        return []
    if instance.host == host and instance.vm_state != states.DELETED:
        return []
    move = moves.finished(connection, instance.uuid)
    if move is not None and move.source_host == host:
        # It is kept for a way back.
        return []
    if any(
        step.host == host
        for step in operations.open_steps_of(connection, instance.uuid)
    ):
        return []
    if intervene.lost_track(connection, instance):
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
        'removed' if CONF.conductor.running_deleted == 'reap' else 'left',
    )
    if CONF.conductor.running_deleted != 'reap':
        return []
    return begin.put_away(connection, instance, host).wakes
