# SPDX-License-Identifier: Apache-2.0
"""Power reconciliation: what a guest's power state means for its instance.

A hypervisor and the row of an instance may differ while no operation owns the
instance: the guest was stopped from inside, or started outside of Minova. The
rules are data, as in ``states``.
"""

import enum
from typing import Final

from minova.states import ACTIVE
from minova.states import DELETED
from minova.states import PAUSED
from minova.states import PowerState
from minova.states import RESCUED
from minova.states import SHELVED
from minova.states import SOFT_DELETE
from minova.states import STOPPED
from minova.states import SUSPENDED


class PowerSyncAction(enum.Enum):
    """What happens when hypervisor and row differ without an operation."""

    NONE = 'do nothing'
    RECORD = 'record the power state'
    RECORD_AND_WARN = 'record the power state and warn'
    STOP_INSTANCE = 'stop the instance with an operation'
    MARK_ACTIVE = 'set the vm_state to active and warn'
    MARK_STOPPED = 'set the vm_state to stopped and warn'
    ENFORCE_STOP = 'power the guest off'
    ENFORCE_PAUSE = 'pause the guest'
    CLEAN_UP_GUEST = 'remove the guest from the host'


#: The power state of a guest, by the vm_state of an instance that no operation
#: owns; the others allow any.
EXPECTED_POWER: Final = {
    ACTIVE: PowerState.RUNNING,
    PAUSED: PowerState.PAUSED,
    SUSPENDED: PowerState.SHUTDOWN,
    STOPPED: PowerState.SHUTDOWN,
    RESCUED: PowerState.RUNNING,
    SHELVED: PowerState.SHUTDOWN,
    SOFT_DELETE: PowerState.SHUTDOWN,
}


# fmt: off
#: Every other pair of vm_state and power state is only recorded.
_RECONCILIATION: Final = {
    (ACTIVE,  PowerState.SHUTDOWN): PowerSyncAction.STOP_INSTANCE,
    (ACTIVE,  PowerState.CRASHED):  PowerSyncAction.STOP_INSTANCE,
    (ACTIVE,  PowerState.PAUSED):   PowerSyncAction.RECORD_AND_WARN,
    (PAUSED,  PowerState.SHUTDOWN): PowerSyncAction.MARK_STOPPED,
    (PAUSED,  PowerState.CRASHED):  PowerSyncAction.MARK_STOPPED,
    (PAUSED,  PowerState.RUNNING):  PowerSyncAction.ENFORCE_PAUSE,
    (STOPPED, PowerState.RUNNING):  PowerSyncAction.ENFORCE_STOP,
}
# fmt: on
_ENFORCEMENTS: Final = (
    PowerSyncAction.ENFORCE_STOP,
    PowerSyncAction.ENFORCE_PAUSE,
)


def reconcile(
    power_state: PowerState | None, vm_state: str, accept_running: bool
) -> PowerSyncAction:
    """Return what to do about a guest without a live operation.

    ``power_state`` is None when the hypervisor does not know the guest.
    ``accept_running`` says whether a guest that was started outside of Minova
    may run.
    """
    if vm_state == DELETED:
        known = power_state is not None
        return (
            PowerSyncAction.CLEAN_UP_GUEST if known else PowerSyncAction.NONE
        )
    if power_state is None:
        return PowerSyncAction.RECORD_AND_WARN
    action = _RECONCILIATION.get(
        (vm_state, power_state), PowerSyncAction.RECORD
    )
    if accept_running and action in _ENFORCEMENTS:
        return PowerSyncAction.MARK_ACTIVE
    return action
