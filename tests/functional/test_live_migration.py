# SPDX-License-Identifier: Apache-2.0
"""Live migration: the notifications, rollbacks and the time limit."""

from minova import exception
from minova import states
from minova.states import PowerState
from tests.functional import base


class LiveMigrationTest(base.FlowTestCase):
    """The notifications of live migrations."""

    def test_live_migration(self):
        uuid, source, dest, since = self.booted()
        host = self.cloud.instance(uuid).host
        boot = self.cloud.world.guest(host, uuid)['boot']
        self.cloud.begin('live_migrate', uuid)
        self.assert_emitted(
            f"""
            update(None>migrating) [api.api]
            live_migration.pre.start [{dest}]
            live_migration.pre.end [{dest}]
            live_migration._post.start [{source}]
            live_migration.post.dest.start [{dest}]
            update(migrating>None) [{dest}]
            live_migration.post.dest.end [{dest}]
            live_migration._post.end [{source}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual(dest, f'compute.{instance.host}')
        self.assertEqual([instance.host], self.cloud.world.running(uuid))
        record = self.cloud.world.guest(instance.host, uuid)
        self.assertEqual(boot, record['boot'], 'the guest was booted again')
        self.assertEqual(
            {(instance.host, True): 1}, self.cloud.allocations(uuid)
        )
        self.assertIsNone(self.cloud.world.get_disks(host, uuid))
        received = self.cloud.consumer.of_instance(uuid)[since:]
        self.assertEqual(host, received[3][2]['host'])
        self.assertEqual(instance.host, received[6][2]['host'])
        self.assertEqual('completed', self.cloud.last_migration(uuid).status)

    def test_of_a_paused_guest(self):
        uuid, _, dest, _ = self.booted()
        self.cloud.begin('pause', uuid)
        self.cloud.begin('live_migrate', uuid)
        instance = self.assert_ended(uuid, states.PAUSED)
        self.assertEqual(dest, f'compute.{instance.host}')
        self.assertEqual(states.PowerState.PAUSED, instance.power_state)

    def test_rollback_when_it_fails(self):
        uuid, source, dest, since = self.booted()
        host = self.cloud.instance(uuid).host
        self.cloud.world.inject_fault(
            host,
            'start_live_migration',
            'unsupported',
            kind='GuestMigrationFailed',
        )
        self.cloud.begin('live_migrate', uuid)
        self.assert_emitted(
            f"""
            update(None>migrating) [api.api]
            live_migration.pre.start [{dest}]
            live_migration.pre.end [{dest}]
            live_migration._rollback.start [{source}]
            live_migration.rollback.dest.start [{dest}]
            live_migration.rollback.dest.end [{dest}]
            update(migrating>None) [{dest}]
            live_migration._rollback.end [{dest}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.ACTIVE, 'rolled_back')
        self.assertEqual(host, instance.host)
        self.assertEqual([host], self.cloud.world.running(uuid))
        self.assertEqual({(host, True): 1}, self.cloud.allocations(uuid))
        self.assertEqual('error', self.cloud.last_migration(uuid).status)
        other = dest.removeprefix('compute.')
        self.assertEqual([], self.cloud.driver(other).guests())

    def test_rollback_when_the_destination_is_not_ready(self):
        uuid, source, dest, since = self.booted()
        other = dest.removeprefix('compute.')
        self.cloud.world.inject_fault(other, 'pre_live_migration', 'no bridge')
        self.cloud.begin('live_migrate', uuid)
        self.assert_emitted(
            f"""
            update(None>migrating) [api.api]
            live_migration.pre.start [{dest}]
            live_migration.pre.error [{dest}]
            live_migration._rollback.start [{source}]
            live_migration.rollback.dest.start [{dest}]
            live_migration.rollback.dest.end [{dest}]
            update(migrating>None) [{dest}]
            live_migration._rollback.end [{dest}]
            """,
            uuid,
            since,
        )
        self.assertIn('no bridge', self.cloud.fault(uuid)['message'])

    def test_no_host_can_receive(self):
        uuid, _, dest, since = self.booted()
        other = dest.removeprefix('compute.')
        self.cloud.world.inject_fault(
            other,
            'check_can_live_migrate_destination',
            'CPU too old',
            kind='MigrationPreCheckError',
        )
        error = self.assertRaises(
            exception.NoValidHost, self.cloud.begin, 'live_migrate', uuid
        )
        self.assertIn('CPU too old', str(error))
        self.assertEqual(400, error.status)
        self.cloud.settle(uuid)
        self.assert_emitted(
            """
            update(None>migrating) [api.api]
            update(migrating>None) [conductor.conductor0]
            """,
            uuid,
            since,
        )


class TimeLimitTest(base.RecoveryTestCase):
    def migrating(self, **options):
        """Begin a live migration that takes an hour."""
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

    def test_timeout_aborts(self):
        uuid = self.migrating(live_migration_timeout=0.3)
        self.assert_is_at('a', uuid)
        self.assertEqual('error', self.cloud.last_migration(uuid).status)
        self.assertEqual('rolled_back', self.cloud.operations(uuid)[-1].state)
        self.assertIn(
            'it took more than 0.3 s ([compute] live_migration_timeout of a)',
            self.cloud.fault(uuid)['message'],
        )
        self.assertIsNone(self.cloud.driver('b').guest(uuid))

    def test_timeout_forces_completion(self):
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
        """Force a migration that ends while its compute is down."""
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
