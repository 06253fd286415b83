# SPDX-License-Identifier: Apache-2.0
"""Suspend and rescue, and live migrations that are forced: told and made.

Sequences are compared as in ``test_chains``, services die as in
``test_recovery``.
"""

from minova import exception
from minova import states
from minova.db.queries import operations
from minova.engine import begin
from minova.objects.operation_params import RescueImage
from minova.states import PowerState
from tests.fixtures.newer_methods import NewerMethods
from tests.functional import test_lifecycle
from tests.functional import test_recovery

RESCUE = RescueImage(image_id='tools', name='Tools', disk_format='raw')


class SuspendTest(test_lifecycle.FlowTestCase):
    """The memory of a guest on its host's disk."""

    hosts = ('a',)

    def guest(self, uuid):
        return self.cloud.driver('a').guest(uuid)

    def test_suspend_and_resume(self):
        uuid, host, _, since = self.booted()
        boot = self.guest(uuid).boot
        self.cloud.begin('suspend', uuid)
        self.assert_emitted(
            f"""
            update(None>suspending) [api.api]
            suspend.start [{host}]
            update(suspending>None) active>suspended [{host}]
            suspend.end [{host}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.SUSPENDED)
        self.assertEqual(PowerState.SHUTDOWN, instance.power_state)
        self.assertEqual([], self.cloud.world.running(uuid))
        self.assertTrue(self.cloud.driver('a').has_managed_save(uuid))
        since = self.count(uuid)
        self.cloud.begin('resume', uuid)
        self.assert_emitted(
            f"""
            update(None>resuming) [api.api]
            resume.start [{host}]
            update(resuming>None) suspended>active [{host}]
            resume.end [{host}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual(PowerState.RUNNING, instance.power_state)
        # It went on and did not start anew.
        self.assertEqual(boot, self.guest(uuid).boot)
        self.assertFalse(self.cloud.driver('a').has_managed_save(uuid))

    def test_what_cannot_be_suspended_runs_on(self):
        uuid, host, _, since = self.booted()
        self.cloud.world.inject_fault(
            'a', 'suspend', 'No space left on device'
        )
        self.cloud.begin('suspend', uuid)
        self.assert_emitted(
            f"""
            update(None>suspending) [api.api]
            suspend.start [{host}]
            update(suspending>None) [{host}]
            suspend.error [{host}]
            """,
            uuid,
            since,
        )
        self.assert_ended(uuid, states.ACTIVE, 'rolled_back')
        self.assertEqual(['a'], self.cloud.world.running(uuid))
        self.assertIn('No space left', self.cloud.fault(uuid)['message'])

    def test_saved_memory_that_cannot_be_used_is_kept(self):
        uuid, *_ = self.booted()
        boot = self.guest(uuid).boot
        self.cloud.begin('suspend', uuid)
        self.cloud.world.inject_fault('a', 'resume', 'cannot allocate memory')
        self.cloud.begin('resume', uuid)
        self.assert_ended(uuid, states.SUSPENDED, 'rolled_back')
        self.assertTrue(self.cloud.driver('a').has_managed_save(uuid))
        text = self.cloud.fault(uuid)['message']
        self.assertIn('cannot allocate memory', text)
        self.assertIn('reboot it hard', text)
        self.cloud.begin('resume', uuid)
        self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual(boot, self.guest(uuid).boot)

    def test_resume_without_saved_memory_boots(self):
        uuid, *_ = self.booted()
        boot = self.guest(uuid).boot
        self.cloud.begin('suspend', uuid)
        store = self.cloud.world.store
        record = store.get(f'a/guests/{uuid}')
        store.put(f'a/guests/{uuid}', record | {'saved': False})
        self.cloud.begin('resume', uuid)
        self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual(['a'], self.cloud.world.running(uuid))
        self.assertNotEqual(boot, self.guest(uuid).boot)

    def test_a_hard_reboot_drops_the_saved_memory(self):
        uuid, *_ = self.booted()
        boot = self.guest(uuid).boot
        self.cloud.begin('suspend', uuid)
        self.cloud.begin('reboot_hard', uuid)
        self.assert_ended(uuid, states.ACTIVE)
        self.assertNotEqual(boot, self.guest(uuid).boot)
        self.cloud.driver('a').power_off(uuid)
        self.assertFalse(self.cloud.driver('a').has_managed_save(uuid))

    def test_nothing_stays_when_it_is_deleted(self):
        for kind in ('delete', 'force_delete'):
            uuid, *_ = self.booted()
            self.cloud.begin('suspend', uuid)
            self.cloud.begin(kind, uuid, begin.delete_params)
            self.assert_ended(uuid, states.DELETED)
            self.assertEqual([], self.cloud.driver('a').list_host_contents())

    def test_a_suspended_guest_is_not_taken_for_a_stopped_one(self):
        uuid, *_ = self.booted()
        self.cloud.begin('suspend', uuid)
        before = [one.kind for one in self.cloud.operations(uuid)]
        for power in (
            PowerState.SHUTDOWN,
            PowerState.CRASHED,
            PowerState.RUNNING,
        ):
            self.cloud.world.set_power('a', uuid, power)
            self.cloud.computes['a'].reconciler.reconcile()
            instance = self.cloud.settle(uuid)
            self.assertEqual(states.SUSPENDED, instance.vm_state)
            self.assertEqual(power, instance.power_state)
        self.assertEqual(
            before, [one.kind for one in self.cloud.operations(uuid)]
        )
        # Somebody has started it: there is nothing to resume but the row.
        self.cloud.begin('resume', uuid)
        self.assert_ended(uuid, states.ACTIVE)


class RescueTest(test_lifecycle.FlowTestCase):
    """A guest that starts from another disk."""

    hosts = ('a',)

    def rescue_disk(self, uuid):
        return self.cloud.world.get_disks('a', uuid).get('rescue')

    def runs_from(self, uuid):
        """Return the image of what a guest was started from, '': its own."""
        self.assertEqual(['a'], self.cloud.world.running(uuid))
        rescue = self.cloud.world.guest('a', uuid)['spec']['rescue']
        return rescue['image_id'] if rescue else ''

    def test_rescue_and_unrescue(self):
        uuid, host, _, since = self.booted()
        launched = self.cloud.instance(uuid).launched_at
        content = self.cloud.world.get_disks('a', uuid)['content']
        self.cloud.begin('rescue', uuid, image=RESCUE)
        self.assert_emitted(
            f"""
            update(None>rescuing) [api.api]
            exists [{host}]
            rescue.start [{host}]
            update(rescuing>None) active>rescued [{host}]
            rescue.end [{host}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.RESCUED)
        self.assertEqual(PowerState.RUNNING, instance.power_state)
        self.assertGreater(instance.launched_at, launched)
        self.assertEqual('tools', self.runs_from(uuid))
        for _, _, payload, _ in self.cloud.consumer.of_instance(uuid)[-3::2]:
            self.assertEqual('Tools', payload['rescue_image_name'])
            self.assertEqual([], payload['fixed_ips'])
        since = self.count(uuid)
        self.cloud.begin('unrescue', uuid, image=RESCUE)
        self.assert_emitted(
            f"""
            update(None>unrescuing) [api.api]
            unrescue.start [{host}]
            update(unrescuing>None) rescued>active [{host}]
            unrescue.end [{host}]
            """,
            uuid,
            since,
        )
        self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual('', self.runs_from(uuid))
        self.assertIsNone(self.rescue_disk(uuid))
        kept = self.cloud.world.get_disks('a', uuid)['content']
        self.assertEqual(content, kept)

    def test_a_stopped_one_is_active_afterwards(self):
        uuid, *_ = self.booted()
        self.cloud.begin('stop', uuid)
        self.cloud.begin('rescue', uuid, image=RESCUE)
        self.assert_ended(uuid, states.RESCUED)
        self.cloud.begin('unrescue', uuid)
        self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual('', self.runs_from(uuid))

    def test_without_an_image_it_is_not_even_switched_off(self):
        uuid, host, _, since = self.booted()
        boot = self.cloud.driver('a').guest(uuid).boot
        self.cloud.world.inject_fault(
            'a', 'create_rescue_disk', 'disk full', kind='DiskFailed'
        )
        self.cloud.begin('rescue', uuid, image=RESCUE)
        self.assert_emitted(
            f"""
            update(None>rescuing) [api.api]
            exists [{host}]
            rescue.start [{host}]
            update(rescuing>None) [{host}]
            rescue.error [{host}]
            """,
            uuid,
            since,
        )
        self.assert_ended(uuid, states.ACTIVE, 'rolled_back')
        self.assertIn('disk full', self.cloud.fault(uuid)['message'])
        self.assertEqual(boot, self.cloud.driver('a').guest(uuid).boot)

    def test_failed_rescue_is_unwound(self):
        for prepare, power in (('start', PowerState.RUNNING), ('stop', 4)):
            uuid, *_ = self.booted()
            if prepare == 'stop':
                self.cloud.begin('stop', uuid)
            before = self.cloud.instance(uuid).vm_state
            self.cloud.world.inject_fault('a', 'start', 'no boot sector')
            self.cloud.begin('rescue', uuid, image=RESCUE)
            instance = self.assert_ended(uuid, before, 'rolled_back')
            self.assertEqual(power, instance.power_state)
            self.assertIsNone(self.rescue_disk(uuid))
            guest = self.cloud.world.guest('a', uuid)
            self.assertEqual(power, guest['power'])
            self.assertIsNone(guest['spec']['rescue'])

    def test_what_does_not_start_by_itself_is_rescued_again(self):
        uuid, *_ = self.booted()
        self.cloud.begin('rescue', uuid, image=RESCUE)
        disk = self.rescue_disk(uuid)
        self.cloud.world.inject_fault('a', 'start', 'no boot sector')
        self.cloud.begin('unrescue', uuid, image=RESCUE)
        self.assert_ended(uuid, states.RESCUED, 'rolled_back')
        self.assertEqual('tools', self.runs_from(uuid))
        self.assertEqual(disk, self.rescue_disk(uuid))
        self.cloud.begin('unrescue', uuid, image=RESCUE)
        self.assert_ended(uuid, states.ACTIVE)

    def test_unrescue_point_of_no_return(self):
        uuid, *_ = self.booted()
        self.cloud.begin('rescue', uuid, image=RESCUE)
        self.cloud.world.inject_fault(
            'a', 'remove_rescue_disk', kind='DiskFailed'
        )
        self.cloud.begin('unrescue', uuid, image=RESCUE)
        self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual('', self.runs_from(uuid))
        self.assertIsNone(self.rescue_disk(uuid))

    def test_without_disks_there_is_nothing_to_rescue(self):
        uuid, *_ = self.booted()
        self.cloud.begin('stop', uuid)
        self.cloud.driver('a').remove_disks(uuid)
        self.cloud.begin('rescue', uuid, image=RESCUE)
        self.assert_ended(uuid, states.STOPPED, 'rolled_back')
        text = self.cloud.fault(uuid)['message']
        self.assertIn('there is nothing to rescue', text)

    def test_forbidden_while_rescued(self):
        uuid, *_ = self.booted()
        self.cloud.begin('rescue', uuid)
        for kind in (
            'reboot_soft',
            'reboot_hard',
            'stop',
            'pause',
            'suspend',
            'resize',
            'live_migrate',
            'rescue',
        ):
            error = self.assertRaises(
                exception.InstanceInvalidState, self.cloud.begin, kind, uuid
            )
            self.assertIn('vm_state rescued', str(error))

    def test_nothing_stays_when_it_is_deleted(self):
        for kind in ('delete', 'force_delete'):
            uuid, *_ = self.booted()
            self.cloud.begin('rescue', uuid)
            self.cloud.begin(kind, uuid, begin.delete_params)
            self.assert_ended(uuid, states.DELETED)
            self.assertEqual([], self.cloud.driver('a').list_host_contents())


class ForceCompleteTest(test_lifecycle.FlowTestCase):
    """A live migration that would take for ever."""

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
        # It was forced, and is paused for that, when it is aborted.
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


class InterruptedTest(test_recovery.RecoveryTestCase):
    """The compute dies in the middle; the next one goes on."""

    def after(self, kind, method, *before):
        """Let the compute die on either side of a driver's method."""
        for early in (True, False):
            uuid = self.cloud.boot(host='a')
            for one in before:
                self.cloud.begin(one, uuid)
            crashing = self.crash_at('a', method, early)
            self.cloud.begin(kind, uuid, wait=False)
            self.assertTrue(crashing.crashed.wait(10))
            self.restart('a')
            self.cloud.settle(uuid)
            yield self.cloud.instance(uuid)

    def test_suspend(self):
        for instance in self.after('suspend', 'suspend'):
            self.assertEqual(states.SUSPENDED, instance.vm_state)
            self.assertTrue(
                self.cloud.driver('a').has_managed_save(instance.uuid)
            )

    def test_resume(self):
        for instance in self.after('resume', 'resume', 'suspend'):
            self.assertEqual(states.ACTIVE, instance.vm_state)
            # Once, and not anew.
            guest = self.cloud.driver('a').guest(instance.uuid)
            self.assertEqual(1, guest.boot)

    def test_rescue(self):
        for method in ('create_rescue_disk', 'power_off', 'define', 'start'):
            self.config(group='compute', shutdown_timeout=0)
            self.config(group='fake', shutdown_seconds=60)
            for instance in self.after('rescue', method):
                self.assertEqual(states.RESCUED, instance.vm_state)
                guest = self.cloud.world.guest('a', instance.uuid)
                self.assertIsNotNone(guest['spec']['rescue'])
                self.assertEqual(PowerState.RUNNING, guest['power'])

    def test_unrescue(self):
        for method in ('define', 'start', 'remove_rescue_disk'):
            for instance in self.after('unrescue', method, 'rescue'):
                self.assertEqual(states.ACTIVE, instance.vm_state)
                disk = self.cloud.world.get_disks('a', instance.uuid)
                self.assertIsNone(disk.get('rescue'))
                # Booted, rescued, started again: not once more.
                guest = self.cloud.driver('a').guest(instance.uuid)
                self.assertEqual(3, guest.boot)

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
        # It was asked for and that has ended; the migration has to know.
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


class PinnedTest(test_lifecycle.FlowTestCase):
    """Computes of the release before are not asked for what came later."""

    hosts = ('a',)

    def test_it_is_refused_before_anything_changes(self):
        uuid, _, _, since = self.booted()
        self.useFixture(NewerMethods('suspend_instance', 'rescue_instance'))
        self.config(group='upgrade_levels', compute='1.0')
        for kind in ('suspend', 'rescue'):
            error = self.assertRaises(
                exception.Conflict, self.cloud.begin, kind, uuid
            )
            self.assertIn('Remove the pin', str(error))
            self.assertIn(f'{kind}_instance came with 1.1', str(error))
        self.assertEqual(since, self.count(uuid))
        self.assertIsNone(self.cloud.instance(uuid).task_state)
        self.cloud.begin('pause', uuid)
        self.assert_ended(uuid, states.PAUSED)
