# SPDX-License-Identifier: Apache-2.0
"""Live migrations that take longer than the source's host allows."""

from minova import states
from minova.states import PowerState
from tests.functional import test_recovery


class TimeLimitTest(test_recovery.RecoveryTestCase):
    def migrating(self, **options):
        """Begin a live migration that would take an hour."""
        uuid = self.cloud.boot(host='a')
        self.cloud.world.set_migration_seconds(3600)
        self.config(group='compute', **options)
        self.cloud.begin('live_migrate', uuid, wait=False)
        return uuid

    def assert_is_at(self, host, uuid):
        instance = self.cloud.settle(uuid)
        self.assertEqual(
            (host, states.ACTIVE), (instance.host, instance.vm_state)
        )
        guest = self.cloud.driver(host).guest(uuid)
        self.assertEqual(PowerState.RUNNING, guest.power)

    def test_it_is_aborted(self):
        uuid = self.migrating(live_migration_timeout=0.3)
        self.assert_is_at('a', uuid)
        self.assertEqual('error', self.cloud.last_migration(uuid).status)
        self.assertEqual('rolled_back', self.cloud.operations(uuid)[-1].state)
        self.assertIn(
            'it took more than 0.3 s ([compute] live_migration_timeout of a)',
            self.cloud.fault(uuid)['message'],
        )
        self.assertIsNone(self.cloud.driver('b').guest(uuid))

    def test_it_is_forced(self):
        uuid = self.migrating(
            live_migration_timeout=0.3,
            live_migration_timeout_action='force_complete',
        )
        self.assert_is_at('b', uuid)
        self.assertEqual('completed', self.cloud.last_migration(uuid).status)

    def test_requested_abort_is_no_timeout(self):
        uuid = self.migrating(live_migration_timeout=60)
        driver = self.cloud.driver('a')
        self.cloud.wait_for(
            lambda: driver.migration_status(uuid).state == 'running'
        )
        self.cloud.begin('abort_live_migrate', uuid)
        self.assert_is_at('a', uuid)
        self.assertEqual('cancelled', self.cloud.last_migration(uuid).status)

    def cut_short(self):
        """Let a migration be forced, and end while nobody is there."""
        uuid = self.migrating(
            live_migration_timeout=0.3,
            live_migration_timeout_action='force_complete',
        )
        driver = self.cloud.driver('a')
        self.cloud.wait_for(
            lambda: driver.guest(uuid).power == PowerState.PAUSED
        )
        self.cloud.stop(self.cloud.computes['a'])
        driver.abort_migration(uuid)
        self.assertEqual(PowerState.PAUSED, driver.guest(uuid).power)
        return uuid

    def test_force_complete_then_restart(self):
        uuid = self.cut_short()
        self.cloud.start_compute('a')
        self.assert_is_at('b', uuid)

    def test_force_complete_then_unwind(self):
        uuid = self.cut_short()
        self.cloud.world.inject_fault('a', 'start_live_migration')
        self.cloud.start_compute('a')
        self.assert_is_at('a', uuid)
