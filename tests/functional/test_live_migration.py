# SPDX-License-Identifier: Apache-2.0
"""Live migration: the notifications, rollbacks and the time limit."""

import fixtures

from minova import exception
from minova import states
from minova.conductor import scheduler
from minova.flows import live_migration
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
            live_migration._rollback.end [{dest}]
            update(migrating>None) [conductor.conductor0]
            """,
            uuid,
            since,
        )
        message = self.cloud.fault(uuid)['message']
        here = source.removeprefix('compute.')
        self.assertIn(
            f'{other}: it was tried: pre_live_migration failed: no bridge',
            message,
        )
        self.assertIn(f'{here}: it has the server', message)
        self.assert_ended(uuid, states.ACTIVE, 'rolled_back')
        self.assertEqual('error', self.cloud.last_migration(uuid).status)

    def test_no_host_can_receive(self):
        uuid, source, dest, since = self.booted()
        here, other = (x.removeprefix('compute.') for x in (source, dest))
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
        self.assertIn(f'{here}: it has the server', str(error))
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


class CandidatesTest(base.FlowTestCase):
    """A host that fails is followed by the next one."""

    hosts = ('a', 'b', 'c')

    def setUp(self):
        super().setUp()
        self.uuid = self.cloud.boot(host='a')
        self.since = self.count(self.uuid)

    def fault(self, host, method, kind='GuestFailed'):
        self.cloud.world.inject_fault(
            host, method, f'{host} is sick', kind=kind
        )

    def assert_is_on(self, host):
        instance = self.assert_ended(self.uuid, states.ACTIVE)
        self.assertEqual(host, instance.host)
        self.assertEqual([host], self.cloud.world.running(self.uuid))
        self.assertEqual({(host, True): 1}, self.cloud.allocations(self.uuid))

    def assert_each_reason(self, text):
        for host in ('b', 'c'):
            self.assertIn(f'{host} is sick', text)
        self.assertEqual('a', self.cloud.instance(self.uuid).host)
        self.assertEqual(['a'], self.cloud.world.running(self.uuid))
        self.assertEqual({('a', True): 1}, self.cloud.allocations(self.uuid))

    def test_after_any_failed_check(self):
        for kind in ('GuestFailed', 'DiskFailed', 'MigrationPreCheckError'):
            here = self.cloud.instance(self.uuid).host
            first, second = sorted({'a', 'b', 'c'} - {here})
            self.fault(first, 'check_can_live_migrate_destination', kind)
            self.cloud.begin('live_migrate', self.uuid)
            self.assert_is_on(second)

    def test_after_a_failed_preparation(self):
        self.fault('b', 'pre_live_migration')
        self.cloud.begin('live_migrate', self.uuid)
        self.assert_emitted(
            """
            update(None>migrating) [api.api]
            live_migration.pre.start [compute.b]
            live_migration.pre.error [compute.b]
            live_migration._rollback.start [compute.a]
            live_migration.rollback.dest.start [compute.b]
            live_migration.rollback.dest.end [compute.b]
            live_migration._rollback.end [compute.b]
            live_migration.pre.start [compute.c]
            live_migration.pre.end [compute.c]
            live_migration._post.start [compute.a]
            live_migration.post.dest.start [compute.c]
            update(migrating>None) [compute.c]
            live_migration.post.dest.end [compute.c]
            live_migration._post.end [compute.a]
            """,
            self.uuid,
            self.since,
        )
        self.assert_is_on('c')
        migration = self.cloud.last_migration(self.uuid)
        self.assertEqual(
            ('completed', 'c'), (migration.status, migration.dest_host)
        )
        self.assertEqual([], self.cloud.driver('b').guests())

    def test_all_checks_fail(self):
        self.fault('b', 'check_can_live_migrate_destination')
        self.fault('c', 'check_can_live_migrate_destination')
        error = self.assertRaises(
            exception.NoValidHost, self.cloud.begin, 'live_migrate', self.uuid
        )
        self.cloud.settle(self.uuid)
        self.assert_each_reason(str(error))

    def test_all_preparations_fail(self):
        self.fault('b', 'pre_live_migration')
        self.fault('c', 'pre_live_migration')
        self.cloud.begin('live_migrate', self.uuid)
        self.assert_ended(self.uuid, states.ACTIVE, 'rolled_back')
        self.assert_each_reason(self.cloud.fault(self.uuid)['message'])

    def test_limit_of_candidates(self):
        self.config(group='scheduler', max_live_migration_candidates=1)
        self.fault('b', 'pre_live_migration')
        self.cloud.begin('live_migrate', self.uuid)
        message = self.cloud.fault(self.uuid)['message']
        self.assertIn('b: it was tried: ', message)
        self.fault('b', 'check_can_live_migrate_destination')
        error = self.assertRaises(
            exception.NoValidHost, self.cloud.begin, 'live_migrate', self.uuid
        )
        self.assertIn('c: not asked', str(error))

    def test_the_requested_host_only(self):
        self.fault('b', 'pre_live_migration')
        self.cloud.begin('live_migrate', self.uuid, host='b')
        self.assert_ended(self.uuid, states.ACTIVE, 'rolled_back')
        self.assertEqual('a', self.cloud.instance(self.uuid).host)
        self.fault('b', 'check_can_live_migrate_destination')
        error = self.assertRaises(
            exception.MigrationPreCheckError,
            self.cloud.begin,
            'live_migrate',
            self.uuid,
            host='b',
        )
        self.assertEqual(400, error.status)
        self.assertIn('b is sick', str(error))

    def test_an_abort_ends_it(self):
        self.fault('b', 'pre_live_migration')
        self.cloud.world.inject_delay('b', 'pre_live_migration', 1.0)
        self.cloud.begin('live_migrate', self.uuid, wait=False)
        self.cloud.wait_for(
            lambda: self.cloud.last_migration(self.uuid).status == 'preparing'
        )
        self.cloud.begin('abort_live_migrate', self.uuid)
        self.cloud.settle(self.uuid)
        self.assertEqual('a', self.cloud.instance(self.uuid).host)
        self.assertEqual([], self.cloud.driver('c').guests())

    def test_after_a_destination_that_is_lost(self):
        self.config(group='conductor', service_down_time=1.0)
        check = scheduler.Scheduler._check_destination

        def stop_after_the_check(own, dest, *more):
            agreed = check(own, dest, *more)
            if dest.host == 'b':
                self.cloud.stop(self.cloud.computes['b'])
            return agreed

        self.useFixture(
            fixtures.MockPatchObject(
                scheduler.Scheduler, '_check_destination', stop_after_the_check
            )
        )
        self.useFixture(
            fixtures.MockPatchObject(
                live_migration, '_DESTINATION_TIMEOUT', 1.0
            )
        )
        self.cloud.begin('live_migrate', self.uuid, wait=False)
        self.cloud.wait_for(lambda: self.cloud.instance(self.uuid).host == 'c')
        self.cloud.start_compute('b')
        self.cloud.settle(self.uuid)
        self.assert_is_on('c')


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
