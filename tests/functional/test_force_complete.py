# SPDX-License-Identifier: Apache-2.0
"""Force a live migration to complete."""

from minova import exception
from minova import states
from minova.db.queries import operations
from minova.states import PowerState
from tests.functional import base


class ForceCompleteTest(base.FlowTestCase):
    """A live migration that never converges."""

    def migrating(self):
        self.config(group='fake', migration_seconds=3600)
        uuid, source, dest, since = self.booted()
        self.cloud.begin('live_migrate', uuid, wait=False)
        driver = self.cloud.driver(source.removeprefix('compute.'))
        self.cloud.wait_for(
            lambda: driver.migration_status(uuid).state == 'running'
        )
        return uuid, source, dest, since

    def test_force_complete(self):
        uuid, source, dest, since = self.migrating()
        self.cloud.begin('force_live_migrate', uuid)
        emitted = self.emitted(uuid, since)
        self.assertEqual(
            [
                f'live.migration.force.complete.start [{source}]',
                f'live.migration.force.complete.end [{source}]',
            ],
            [line for line in emitted if 'force' in line],
        )
        self.assertEqual(
            [
                'update(None>migrating) [api.api]',
                f'live_migration.pre.start [{dest}]',
                f'live_migration.pre.end [{dest}]',
                f'live_migration._post.start [{source}]',
                f'live_migration.post.dest.start [{dest}]',
                f'update(migrating>None) [{dest}]',
                f'live_migration.post.dest.end [{dest}]',
                f'live_migration._post.end [{source}]',
            ],
            [line for line in emitted if 'force' not in line],
        )
        instance = self.cloud.instance(uuid)
        there = dest.removeprefix('compute.')
        self.assertEqual(
            (there, states.ACTIVE, PowerState.RUNNING),
            (instance.host, instance.vm_state, instance.power_state),
        )
        self.assertEqual('completed', self.cloud.last_migration(uuid).status)

    def test_force_complete_is_retried(self):
        uuid, source, dest, _ = self.migrating()
        here = source.removeprefix('compute.')
        self.cloud.world.inject_fault(here, 'force_complete', times=2)
        self.cloud.begin('force_live_migrate', uuid)
        self.assertEqual(
            dest.removeprefix('compute.'), self.cloud.instance(uuid).host
        )

    def test_forced_and_aborted_it_runs_on(self):
        uuid, source, _, _ = self.migrating()
        here = source.removeprefix('compute.')
        # The force has paused the guest when the abort arrives.
        self.cloud.world.inject_delay(here, 'migration_status', 0.3)
        self.cloud.begin('force_live_migrate', uuid, wait=False)
        driver = self.cloud.driver(here)
        self.cloud.wait_for(
            lambda: driver.guest(uuid).power == PowerState.PAUSED
        )
        driver.abort_migration(uuid)
        self.cloud.settle(uuid)
        instance = self.cloud.instance(uuid)
        self.assertEqual(
            (here, states.ACTIVE), (instance.host, instance.vm_state)
        )
        self.assertEqual(PowerState.RUNNING, driver.guest(uuid).power)

    def test_force_complete_needs_a_migration(self):
        uuid, *_ = self.booted()
        error = self.assertRaises(
            exception.InstanceInvalidState,
            self.cloud.begin,
            'force_live_migrate',
            uuid,
        )
        self.assertIn("Cannot 'force_complete' instance", str(error))


class CrashTest(base.RecoveryTestCase):
    """The compute service stops around the force."""

    def migrating(self):
        uuid = self.cloud.boot(host='a')
        self.config(group='fake', migration_seconds=3600)
        self.cloud.begin('live_migrate', uuid, wait=False)
        driver = self.cloud.driver('a')
        self.cloud.wait_for(
            lambda: driver.migration_status(uuid).state == 'running'
        )
        return uuid

    def test_monitor_crashes_before_force_complete(self):
        uuid = self.migrating()
        self.cloud.world.inject_fault('a', 'force_complete', times=10000)
        begun = self.cloud.begin('force_live_migrate', uuid, wait=False)
        number = begun.operation.id
        self.cloud.wait_for(
            lambda: self.cloud.read(operations.get, number).finished_at
        )
        self.cloud.stop(self.cloud.computes['a'])
        self.cloud.world.clear_faults()
        # The force operation has ended; the migration still has to apply it.
        self.cloud.start_compute('a')
        self.cloud.settle(uuid)
        self.assertEqual('b', self.cloud.instance(uuid).host)
        self.assertEqual(['b'], self.cloud.world.running(uuid))

    def test_force_complete_without_monitor(self):
        uuid = self.migrating()
        self.cloud.stop(self.cloud.computes['a'])
        self.cloud.begin('force_live_migrate', uuid, wait=False)
        self.cloud.start_compute('a')
        self.cloud.settle(uuid)
        self.assertEqual('b', self.cloud.instance(uuid).host)
        self.assertEqual(['b'], self.cloud.world.running(uuid))
