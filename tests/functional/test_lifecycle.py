# SPDX-License-Identifier: Apache-2.0
"""Stop, start, pause and unpause a server.

Each test compares the whole sequence of notifications with the documented
one: a notification too many, too few or out of order is a failure.
"""

from minova import states
from tests.functional import base


class LifecycleTest(base.FlowTestCase):
    """Operations on one host."""

    def test_stop_and_start(self):
        uuid, host, _, since = self.booted()
        self.cloud.begin('stop', uuid)
        self.assert_emitted(
            f"""
            update(None>powering-off) [api.api]
            power_off.start [{host}]
            update(powering-off>None) active>stopped [{host}]
            power_off.end [{host}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.STOPPED)
        self.assertEqual(states.PowerState.SHUTDOWN, instance.power_state)
        since = self.count(uuid)
        self.cloud.begin('start', uuid)
        self.assert_emitted(
            f"""
            update(None>powering-on) [api.api]
            power_on.start [{host}]
            update(powering-on>None) stopped>active [{host}]
            power_on.end [{host}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual(states.PowerState.RUNNING, instance.power_state)

    def test_pause_and_unpause(self):
        uuid, host, _, since = self.booted()
        self.cloud.begin('pause', uuid)
        self.cloud.begin('unpause', uuid)
        self.assert_emitted(
            f"""
            update(None>pausing) [api.api]
            pause.start [{host}]
            update(pausing>None) active>paused [{host}]
            pause.end [{host}]
            update(None>unpausing) [api.api]
            unpause.start [{host}]
            update(unpausing>None) paused>active [{host}]
            unpause.end [{host}]
            """,
            uuid,
            since,
        )

    def test_failed_stop_restores_state(self):
        uuid, host, _, since = self.booted()
        self.cloud.world.inject_fault(
            self.cloud.instance(uuid).host, 'shutdown', 'hypervisor away'
        )
        self.cloud.begin('stop', uuid)
        self.assert_emitted(
            f"""
            update(None>powering-off) [api.api]
            power_off.start [{host}]
            update(powering-off>None) [{host}]
            power_off.error [{host}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.ACTIVE, 'rolled_back')
        self.assertEqual(states.PowerState.RUNNING, instance.power_state)
