# SPDX-License-Identifier: Apache-2.0
"""The rules of power reconciliation."""

from hypothesis import given
from hypothesis import strategies

from minova import power_reconciliation
from minova import states
from minova.power_reconciliation import PowerSyncAction
from minova.states import PowerState
from tests import base

vm_states = strategies.sampled_from(states.VM_STATES)


class ReconcileTest(base.TestCase):
    """The table of power reconciliation."""

    def test_rows(self):
        for seen, vm_state, adopt, expected in (
            (None, 'active', True, PowerSyncAction.RECORD_AND_WARN),
            (None, 'deleted', True, PowerSyncAction.NONE),
            (
                PowerState.RUNNING,
                'deleted',
                True,
                PowerSyncAction.CLEAN_UP_GUEST,
            ),
            (
                PowerState.SHUTDOWN,
                'active',
                True,
                PowerSyncAction.STOP_INSTANCE,
            ),
            (
                PowerState.CRASHED,
                'active',
                False,
                PowerSyncAction.STOP_INSTANCE,
            ),
            (PowerState.RUNNING, 'stopped', True, PowerSyncAction.MARK_ACTIVE),
            (
                PowerState.RUNNING,
                'stopped',
                False,
                PowerSyncAction.ENFORCE_STOP,
            ),
            (PowerState.RUNNING, 'paused', True, PowerSyncAction.MARK_ACTIVE),
            (
                PowerState.RUNNING,
                'paused',
                False,
                PowerSyncAction.ENFORCE_PAUSE,
            ),
            (
                PowerState.SHUTDOWN,
                'paused',
                True,
                PowerSyncAction.MARK_STOPPED,
            ),
            (
                PowerState.CRASHED,
                'paused',
                False,
                PowerSyncAction.MARK_STOPPED,
            ),
            (
                PowerState.PAUSED,
                'active',
                True,
                PowerSyncAction.RECORD_AND_WARN,
            ),
            (PowerState.SHUTDOWN, 'resized', True, PowerSyncAction.RECORD),
            (PowerState.RUNNING, 'error', True, PowerSyncAction.RECORD),
            (PowerState.SHUTDOWN, 'rescued', True, PowerSyncAction.RECORD),
        ):
            self.assertEqual(
                expected,
                power_reconciliation.reconcile(seen, vm_state, adopt),
                (seen, vm_state, adopt),
            )

    @given(
        strategies.none() | strategies.sampled_from(list(PowerState)),
        vm_states,
        strategies.booleans(),
    )
    def test_only_deleted_guests_are_removed(self, seen, vm_state, adopt):
        correction = power_reconciliation.reconcile(seen, vm_state, adopt)
        removed = correction is PowerSyncAction.CLEAN_UP_GUEST
        self.assertEqual(removed, vm_state == 'deleted' and seen is not None)
