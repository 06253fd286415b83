# SPDX-License-Identifier: Apache-2.0
"""Reboot a server: soft, hard, and soft that becomes hard."""

from minova import states
from tests.functional import base


class RebootTest(base.FlowTestCase):
    """The notifications of each kind of reboot."""

    def test_reboot_soft(self):
        uuid, host, _, since = self.booted()
        self.cloud.begin('reboot_soft', uuid)
        self.assert_emitted(
            f"""
            update(None>rebooting) [api.api]
            reboot.start [{host}]
            update(rebooting>reboot_pending) [{host}]
            update(reboot_pending>reboot_started) [{host}]
            update(reboot_started>None) [{host}]
            reboot.end [{host}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.ACTIVE)
        record = self.cloud.world.guest(instance.host, uuid)
        self.assertEqual(2, record['boot'])

    def test_reboot_soft_failure_becomes_hard(self):
        uuid, host, _, since = self.booted()
        self.cloud.world.inject_fault(
            self.cloud.instance(uuid).host, 'shutdown', 'no answer'
        )
        self.cloud.begin('reboot_soft', uuid)
        self.assert_emitted(
            f"""
            update(None>rebooting) [api.api]
            reboot.start [{host}]
            update(rebooting>reboot_pending) [{host}]
            update(reboot_pending>reboot_started) [{host}]
            update(reboot_started>None) [{host}]
            reboot.end [{host}]
            """,
            uuid,
            since,
        )
        self.assert_ended(uuid, states.ACTIVE)
        self.assertIn('rebooting hard', self.log.output)

    def test_reboot_soft_timeout_becomes_hard(self):
        self.config(group='fake', shutdown_seconds=3600)
        self.config(group='compute', wait_soft_reboot_seconds=0.5)
        uuid, _, _, _ = self.booted()
        self.cloud.begin('reboot_soft', uuid)
        instance = self.assert_ended(uuid, states.ACTIVE)
        record = self.cloud.world.guest(instance.host, uuid)
        self.assertEqual(2, record['boot'])
        self.assertIn('did not restart by itself', self.log.output)

    def test_reboot_hard(self):
        uuid, host, _, _ = self.booted()
        self.cloud.begin('stop', uuid)
        since = self.count(uuid)
        self.cloud.begin('reboot_hard', uuid)
        self.assert_emitted(
            f"""
            update(None>rebooting_hard) [api.api]
            reboot.start [{host}]
            update(rebooting_hard>reboot_pending_hard) [{host}]
            update(reboot_pending_hard>reboot_started_hard) [{host}]
            update(reboot_started_hard>None) stopped>active [{host}]
            reboot.end [{host}]
            """,
            uuid,
            since,
        )

    def test_reboot_that_fails(self):
        uuid, host, _, since = self.booted()
        self.cloud.world.inject_fault(
            self.cloud.instance(uuid).host, 'define', 'no such machine type'
        )
        self.cloud.begin('reboot_hard', uuid)
        self.assert_emitted(
            f"""
            update(None>rebooting_hard) [api.api]
            reboot.start [{host}]
            update(rebooting_hard>reboot_pending_hard) [{host}]
            update(reboot_pending_hard>reboot_started_hard) [{host}]
            update(reboot_started_hard>None) active>error [{host}]
            reboot.error [{host}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.ERROR, 'failed')
        self.assertEqual(states.PowerState.SHUTDOWN, instance.power_state)
        payload = self.cloud.consumer.of_instance(uuid)[-1][2]
        self.assertIn('no such machine type', payload['message'])
        self.assertIn('GuestFailed', payload['exception'])
        self.assertEqual(500, payload['code'])
        # A hard reboot brings an instance in error back to active.
        self.cloud.begin('reboot_hard', uuid)
        self.assert_ended(uuid, states.ACTIVE)
