# SPDX-License-Identifier: Apache-2.0
"""Power synchronization: hypervisor and database differ."""

import logging

import fixtures

from minova import states
from minova.conductor import power_sync
from minova.objects.host import GuestReport
from minova.states import PowerState
from tests import base
from tests.fixtures.cloud import Cloud
from tests.fixtures.cloud import format_notifications


class PowerSyncTest(base.TestCase):
    """Each row of the documented table, by event and by sweep."""

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(Cloud())
        self.uuid = self.cloud.boot(host='a')

    def emitted_since(self, count):
        return list(
            format_notifications(self.cloud.consumer.of_instance(self.uuid))
        )[count:]

    def sweep(self, host='a'):
        self.cloud.computes[host].reconciler.reconcile()

    def instance(self):
        return self.cloud.instance(self.uuid)

    def wait_for_state(self, vm_state):
        self.cloud.wait_for(lambda: self.instance().vm_state == vm_state)
        return self.cloud.settle(self.uuid)

    def report(self, power_state, generation=None, host='a'):
        """Report as a compute whose reading is old."""
        row = self.instance()
        guest = GuestReport(
            uuid=self.uuid,
            power_state=power_state,
            generation=row.generation if generation is None else generation,
            guest_generation=None,
            reason=None,
        )
        return self.cloud.database.write(
            lambda c: power_sync.reconcile_guest(c, host, guest)
        )

    def test_a_guest_that_shuts_itself_down(self):
        self.cloud.world.set_power('a', self.uuid, PowerState.SHUTDOWN)
        instance = self.wait_for_state(states.STOPPED)
        self.assertEqual(PowerState.SHUTDOWN, instance.power_state)
        self.assertEqual(
            [
                'update(None>powering-off) [compute.a]',
                'power_off.start [compute.a]',
                'update(powering-off>None) active>stopped [compute.a]',
                'power_off.end [compute.a]',
            ],
            self.emitted_since(7),
        )

    def test_a_guest_that_crashes(self):
        self.cloud.world.set_power('a', self.uuid, PowerState.CRASHED)
        self.wait_for_state(states.STOPPED)

    def test_sweep_finds_missed_event(self):
        self.cloud.world.notify_change = lambda host, uuid: None
        self.cloud.world.set_power('a', self.uuid, PowerState.SHUTDOWN)
        self.sweep()
        self.wait_for_state(states.STOPPED)

    def test_a_stopped_guest_that_was_started_is_adopted(self):
        self.cloud.begin('stop', self.uuid)
        since = len(self.emitted_since(0))
        self.cloud.world.set_power('a', self.uuid, PowerState.RUNNING)
        instance = self.wait_for_state(states.ACTIVE)
        self.assertEqual(PowerState.RUNNING, instance.power_state)
        self.assertEqual(
            ['update(None>None) stopped>active [compute.a]'],
            self.emitted_since(since),
        )
        self.assertIn('set the vm_state to active', self.log.output)

    def test_or_enforce_stop(self):
        self.config(
            group='conductor', unexpected_running_instance_action='stop'
        )
        self.cloud.begin('stop', self.uuid)
        self.cloud.world.set_power('a', self.uuid, PowerState.RUNNING)
        self.cloud.wait_for(lambda: not self.cloud.world.running(self.uuid))
        instance = self.cloud.settle(self.uuid)
        self.assertEqual(states.STOPPED, instance.vm_state)
        self.assertEqual(PowerState.SHUTDOWN, instance.power_state)

    def test_running_paused_guest_is_paused(self):
        self.config(
            group='conductor', unexpected_running_instance_action='stop'
        )
        self.cloud.begin('pause', self.uuid)
        self.cloud.world.set_power('a', self.uuid, PowerState.RUNNING)
        self.cloud.wait_for(
            lambda: (
                self.cloud.world.guest('a', self.uuid)['power']
                == PowerState.PAUSED
            )
        )
        instance = self.cloud.settle(self.uuid)
        self.assertEqual(states.PAUSED, instance.vm_state)

    def test_a_paused_guest_that_ended_is_stopped(self):
        # A guest that can be neither unpaused nor stopped.
        for seen in (PowerState.SHUTDOWN, PowerState.CRASHED):
            self.cloud.begin('pause', self.uuid)
            self.cloud.settle(self.uuid)
            self.cloud.world.set_power('a', self.uuid, seen)
            instance = self.wait_for_state(states.STOPPED)
            self.assertEqual(seen, instance.power_state)
            self.cloud.begin('start', self.uuid)
            instance = self.cloud.settle(self.uuid)
            self.assertEqual(states.ACTIVE, instance.vm_state)

    def test_a_guest_that_is_paused_is_only_noted(self):
        since = len(self.emitted_since(0))
        self.cloud.world.set_power('a', self.uuid, PowerState.PAUSED)
        self.cloud.wait_for(
            lambda: self.instance().power_state == PowerState.PAUSED
        )
        self.assertEqual(states.ACTIVE, self.instance().vm_state)
        self.assertEqual([], self.emitted_since(since))

    def test_a_guest_that_is_missing_is_only_noted(self):
        self.cloud.driver('a').destroy(self.uuid)
        self.sweep()
        self.assertEqual(PowerState.NOSTATE, self.instance().power_state)
        self.assertEqual(states.ACTIVE, self.instance().vm_state)
        self.assertIn('is missing', self.log.output)

    def test_a_resized_guest_that_is_off_is_only_noted(self):
        self.cloud.begin('migrate', self.uuid)
        self.cloud.world.set_power('b', self.uuid, PowerState.SHUTDOWN)
        self.sweep('b')
        self.assertEqual(PowerState.SHUTDOWN, self.instance().power_state)
        self.assertEqual(states.RESIZED, self.instance().vm_state)
        # The guest that the source keeps for a revert is ignored.
        self.sweep('a')
        self.cloud.settle(self.uuid)
        self.assertIsNotNone(self.cloud.world.guest('a', self.uuid))

    def test_a_guest_of_a_deleted_instance_is_removed(self):
        driver = self.cloud.driver('a')
        record = self.cloud.world.guest('a', self.uuid)
        disk = self.cloud.world.get_disks('a', self.uuid)
        self.cloud.delete(self.uuid)
        self.cloud.world.store.put(f'a/guests/{self.uuid}', record)
        self.cloud.world.store.put(f'a/disks/{self.uuid}', disk)
        self.config(group='conductor', running_deleted_instance_action='log')
        self.sweep()
        self.cloud.settle(self.uuid)
        self.assertIsNotNone(driver.guest(self.uuid))
        self.config(group='conductor', running_deleted_instance_action='reap')
        self.sweep()
        self.cloud.settle(self.uuid)
        self.assertIsNone(driver.guest(self.uuid))
        self.assertIsNone(self.cloud.world.get_disks('a', self.uuid))

    def test_a_guest_on_a_host_that_does_not_own_it_is_removed(self):
        record = self.cloud.world.guest('a', self.uuid)
        self.cloud.world.store.put(f'b/guests/{self.uuid}', record)
        self.sweep('b')
        self.cloud.settle(self.uuid)
        self.assertEqual(['a'], self.cloud.world.running(self.uuid))

    def test_unknown_guest_is_left_alone(self):
        # Each comparison finds it again, so the line is at DEBUG.
        log = self.useFixture(fixtures.FakeLogger(level=logging.DEBUG))
        record = self.cloud.world.guest('a', self.uuid)
        self.cloud.world.store.put('a/guests/some-other', record)
        self.sweep()
        self.assertIsNotNone(self.cloud.world.guest('a', 'some-other'))
        self.assertIn(
            'domain some-other is not managed by Minova; ignored', log.output
        )

    def test_stale_report_is_ignored(self):
        old = self.instance().generation
        self.cloud.begin('pause', self.uuid)
        self.cloud.begin('unpause', self.uuid)
        self.assertEqual([], self.report(int(PowerState.SHUTDOWN), old))
        self.assertEqual(PowerState.RUNNING, self.instance().power_state)
        self.assertEqual(states.ACTIVE, self.instance().vm_state)
        # The same report with a current reading has an effect.
        self.assertNotEqual([], self.report(int(PowerState.SHUTDOWN)))

    def test_report_during_operation_is_ignored(self):
        self.cloud.world.inject_delay('a', 'pause', 1.0)
        self.cloud.begin('pause', self.uuid, wait=False)
        self.assertEqual([], self.report(int(PowerState.SHUTDOWN)))
        self.assertEqual(PowerState.RUNNING, self.instance().power_state)
        self.cloud.settle(self.uuid)

    def test_race_the_source_misses_a_guest_that_migrated(self):
        # The source reads before the migration and reports after it.
        old = self.instance().generation
        self.cloud.begin('live_migrate', self.uuid)
        self.assertEqual([], self.report(None, old, host='a'))
        instance = self.instance()
        self.assertEqual('b', instance.host)
        self.assertEqual(PowerState.RUNNING, instance.power_state)

    def test_race_the_destination_sees_a_guest_before_it_owns_it(self):
        # The destination reads while the guest arrives.
        self.config(group='fake', migration_seconds=1.0)
        self.cloud.begin('live_migrate', self.uuid, wait=False)
        self.cloud.wait_for(
            lambda: (
                self.cloud.driver('a').migration_status(self.uuid).state
                == 'running'
            )
        )
        for _ in range(10):
            self.sweep('b')
            self.sweep('a')
            self.assertEqual(
                [], self.report(int(PowerState.RUNNING), -1, host='b')
            )
        instance = self.cloud.settle(self.uuid)
        self.assertEqual('b', instance.host)
        self.assertEqual(['b'], self.cloud.world.running(self.uuid))
        kinds = [o.kind for o in self.cloud.operations(self.uuid)]
        self.assertEqual(['create', 'live_migrate'], kinds)
