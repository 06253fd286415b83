# SPDX-License-Identifier: Apache-2.0
"""Bugs that simulations and the nemesis found, one test each."""

import contextlib
import datetime

import fixtures

from minova import clock
from minova import exception
from minova import states
from minova.conf import CONF
from minova.db.queries import hosts
from minova.db.queries import migrations
from minova.db.queries import operations
from minova.engine import begin
from minova.engine import operator_actions
from minova.engine import recovery
from minova.objects.host import GuestReport
from minova.states import PowerState
from minova.virt.fake.driver import FakeDriver
from tests import base
from tests.fixtures.cloud import Cloud


class FoundBySimulationTest(base.TestCase):
    """Two hosts, an instance on the first."""

    hosts = ('a', 'b')

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(Cloud(self.hosts))
        self.big = self.cloud.flavor('big', memory_mb=1024)

    def late(self, operation_id):
        """Move the deadline of an operation into the past."""
        past = clock.now() - datetime.timedelta(seconds=1)
        self.cloud.database.write(
            lambda c: operations.update(c, operation_id, {'deadline': past})
        )

    def report(self, host, uuid, power=PowerState.SHUTDOWN):
        """Report a guest of a host; return the wake-ups."""
        from minova.conductor import power_sync as deciding

        guest = GuestReport(
            uuid=uuid,
            power_state=int(power),
            generation=-1,
            guest_generation=1,
            reason=None,
        )
        return self.cloud.database.write(
            lambda c: deciding.reconcile_guest(c, host, guest)
        )

    # -- resize --------------------------------------------------------------

    def test_resize_refused_by_all_hosts_ends(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.inject_fault('b', 'has_retained_disks')
        instance = self.cloud.resize(uuid, self.big)
        self.assertEqual(states.ACTIVE, instance.vm_state)
        operation = self.cloud.operations(uuid)[-1]
        self.assertEqual('rolled_back', operation.state)
        steps = self.cloud.read(operations.list_steps, operation.id)
        decisions = [s for s in steps if s.method == 'migrate_server']
        self.assertEqual(2, len(decisions))

    def test_half_retained_disks_are_removed(self):
        uuid = self.cloud.boot(host='a')
        # A crash between the two steps leaves a retained copy and the disk.
        store = self.cloud.world.store
        store.put(f'a/retained/{uuid}', store.get(f'a/disks/{uuid}'))
        store.put(f'b/disks/{uuid}', store.get(f'a/disks/{uuid}'))
        instance = self.cloud.resize(uuid, self.big)
        self.assertEqual(('b', states.RESIZED), _place(instance))
        self.assertIsNone(self.cloud.world.get_disks('a', uuid))
        self.assertIsNotNone(
            self.cloud.world.get_disks('a', uuid, retained=True)
        )

    def test_delete_during_revert_ends_migration(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.resize(uuid, self.big)
        self.cloud.stop(self.cloud.computes['b'])
        self.cloud.revert(uuid, wait=False)
        self.cloud.begin('force_delete', uuid, begin.delete_params, wait=False)
        migration = self.cloud.read(migrations.get, 1)
        self.assertEqual('cancelled', migration.status)

    def test_failed_revert_keeps_the_disk(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.resize(uuid, self.big)
        self.cloud.world.inject_fault('b', 'destroy', 'busy', times=1000)
        begun = self.cloud.revert(uuid, wait=False)
        self.cloud.wait_for(
            lambda: self.cloud.operations(uuid)[-1].wait_reason
        )
        self.late(begun.operation.id)
        instance = self.cloud.settle(uuid)
        self.assertEqual(('b', states.ERROR), _place(instance))
        self.assertEqual('error', self.cloud.read(migrations.get, 1).status)
        # The source's guest is not owned, and its disk is the only one.
        self.assertEqual([], self.report('a', uuid))
        self.assertIsNotNone(
            self.cloud.world.get_disks('a', uuid, retained=True)
        )

    def test_full_disk_does_not_end_revert(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.resize(uuid, self.big)
        self.cloud.world.inject_fault(
            'a', 'restore_disks', 'No space left on device', kind='DiskFailed'
        )
        self.cloud.revert(uuid)
        instance = self.cloud.settle(uuid)
        self.assertEqual(('a', states.ACTIVE), _place(instance))
        self.assertIsNone(self.cloud.world.get_disks('a', uuid, retained=True))

    def test_start_does_not_recreate_retained_disks(self):
        uuid = self.cloud.boot(host='a')
        store = self.cloud.world.store
        mine = store.get(f'a/disks/{uuid}') | {'mark': 'mine'}
        store.put(f'a/retained/{uuid}', mine)
        store.delete(f'a/disks/{uuid}')
        self.cloud.begin('reboot_hard', uuid)
        self.assertEqual('mine', store.get(f'a/disks/{uuid}').get('mark'))
        self.assertIsNone(store.get(f'a/retained/{uuid}'))

    def test_guest_runs_after_unwound_unrescue(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.begin('rescue', uuid)
        store = self.cloud.world.store
        before = store.get(f'a/guests/{uuid}')['boot']
        # The guest may stop later, after the step has failed.
        self.cloud.world.inject_fault('a', 'shutdown', 'a full disk')
        self.cloud.begin('unrescue', uuid)
        instance = self.cloud.settle(uuid)
        self.assertEqual(('a', states.RESCUED), _place(instance))
        record = store.get(f'a/guests/{uuid}')
        self.assertEqual(before + 1, record['boot'])
        self.assertIsNone(record['off_at'])

    # -- live migration ------------------------------------------------------

    def test_unwound_queued_migration_ends(self):
        uuid = self.cloud.boot(host='a')
        # The compute answers, but starts no step.
        self.useFixture(
            fixtures.MockPatchObject(self.cloud.computes['a'].runner, 'wake')
        )
        begun = self.cloud.begin('live_migrate', uuid, wait=False)
        step = self.cloud.wait_for(
            lambda: [
                s
                for s in self.cloud.read(
                    operations.list_steps, begun.operation.id
                )
                if s.method == 'live_migration'
            ]
        )[0]
        self.cloud.database.write(
            lambda c: recovery.handle_host_down(c, step.id, 'silent', 'c')
        )
        self.cloud.wait_for(lambda: self.cloud.instance(uuid).task_id is None)
        self.assertEqual('rolled_back', self.cloud.operations(uuid)[-1].state)
        self.assertEqual('error', self.cloud.read(migrations.get, 1).status)

    def test_destination_restart_does_not_unwind(self):
        uuid = self.cloud.boot(host='a')
        before = self.cloud.driver('b')
        self.cloud.world.inject_delay('a', 'migration_status', 0.5)
        self.cloud.begin('live_migrate', uuid, wait=False)
        self.cloud.wait_for(
            lambda: self.cloud.last_migration(uuid).status == 'running'
        )
        self.cloud.stop(self.cloud.computes['b'])
        self.assertIsNotNone(before)
        clock.sleep(1.5)
        self.cloud.start_compute('b')
        instance = self.cloud.settle(uuid)
        self.assertEqual(('b', states.ACTIVE), _place(instance))
        self.assertEqual('done', self.cloud.operations(uuid)[-1].state)

    def test_no_unwind_while_guest_migrates(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.set_migration_seconds(1.0)
        self.cloud.world.inject_fault(
            'a', 'migration_status', 'libvirt is away', times=2
        )
        self.cloud.begin('live_migrate', uuid, wait=False)
        waits = self.cloud.wait_for(
            lambda: self.cloud.operations(uuid)[-1].wait_reason
        )
        self.assertIn('live_migration on a to succeed', waits)
        self.assertIn('libvirt is away', waits)
        instance = self.cloud.settle(uuid)
        self.assertEqual(('b', states.ACTIVE), _place(instance))
        self.assertEqual('done', self.cloud.operations(uuid)[-1].state)
        self.assertIsNone(self.cloud.driver('a').guest(uuid))

    def test_no_unwind_when_start_error_was_false(self):
        uuid = self.cloud.boot(host='a')
        driver = self.cloud.computes['a'].driver

        def migrate(*args):
            FakeDriver.start_live_migration(driver, *args)
            raise exception.GuestFailed(instance_id=uuid, reason='cut off')

        self.useFixture(
            fixtures.MockPatchObject(driver, 'start_live_migration', migrate)
        )
        self.cloud.begin('live_migrate', uuid, wait=False)
        instance = self.cloud.settle(uuid)
        self.assertEqual(('b', states.ACTIVE), _place(instance))
        self.assertEqual('done', self.cloud.operations(uuid)[-1].state)

    def test_unreachable_destinations_are_retried(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.stop(self.cloud.computes['b'])
        with contextlib.suppress(exception.Unavailable):
            self.cloud.begin('live_migrate', uuid, wait=False)
        self.assertEqual('running', self.cloud.operations(uuid)[-1].state)
        self.cloud.start_compute('b')
        instance = self.cloud.settle(uuid)
        self.assertEqual(('b', states.ACTIVE), _place(instance))
        self.assertEqual('done', self.cloud.operations(uuid)[-1].state)

    # -- power ---------------------------------------------------------------

    def test_paused_guest_is_not_running(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.inject_fault('a', 'guest', 'libvirt is away')
        self.cloud.begin('pause', uuid)
        instance = self.cloud.instance(uuid)
        self.assertEqual(states.PAUSED, instance.vm_state)
        self.assertEqual(PowerState.PAUSED, instance.power_state)

    # -- deletion ------------------------------------------------------------

    def test_disks_sent_by_a_lost_host_are_removed(self):
        uuid = self.cloud.boot(host='a')
        # The compute answers, but starts no step.
        self.useFixture(
            fixtures.MockPatchObject(self.cloud.computes['a'].runner, 'wake')
        )
        self.cloud.resize(uuid, self.big, wait=False)
        self.cloud.wait_for(
            lambda: (
                self.cloud.operations(uuid)[-1].open_step_count == 1
                and self.cloud.last_migration(uuid)
            )
        )
        disk = self.cloud.world.store.get(f'a/disks/{uuid}')
        begun = self.cloud.begin(
            'force_delete', uuid, begin.delete_params, wait=False
        )
        self.cloud.wait_for(
            lambda: (
                [
                    step.state
                    for step in self.cloud.read(
                        operations.list_steps, begun.operation.id
                    )
                    if step.host == 'b'
                ]
                == ['done']
            )
        )
        # The step on a runs on for a moment, then a is lost.
        self.cloud.world.store.put(f'b/disks/{uuid}', disk)
        self.cloud.stop(self.cloud.computes['a'])
        ending = self.cloud.database.write(
            lambda c: operator_actions.abandon(
                c, begun.operation.id, 'a is lost', True, 'operator'
            )
        )
        self.assertEqual(['b'], ending.cleanup_hosts)
        self.cloud.wait_for(
            lambda: self.cloud.world.get_disks('b', uuid) is None
        )

    # -- two starts of one compute -------------------------------------------

    def test_stale_process_does_not_power_off(self):
        CONF.set_override('shutdown_timeout', 0.5, 'compute')
        uuid = self.cloud.boot(host='a')
        old = self.cloud.computes['a']
        self.cloud.world.inject_delay('a', 'shutdown', 3.0, after=True)
        self.cloud.resize(uuid, self.big, wait=False)
        self.cloud.wait_for(
            lambda: (
                self.cloud.driver('a').guest(uuid).power is PowerState.SHUTDOWN
            )
        )
        self.cloud.world.store.delete('a/delays/shutdown')
        self.cloud.start_compute('a')
        self.cloud.settle(uuid)
        self.cloud.revert(uuid)
        self.cloud.wait_for(lambda: not old.runner._running)
        self.assertEqual(
            PowerState.RUNNING, self.cloud.driver('a').guest(uuid).power
        )
        self.assertIsNone(self.cloud.world.get_disks('b', uuid))

    def test_process_resumes_when_successor_ended(self):
        uuid = self.cloud.boot(host='a')
        alive = self.cloud.computes['a'].incarnation
        # The call of an earlier process arrives after its end.
        self.cloud.database.write(
            lambda c: hosts.register_service(
                c, operations.COMPUTE_BINARY, 'a', 'a-ghost', '1'
            )
        )
        self.config(group='conductor', service_down_time=3)
        self.cloud.begin('stop', uuid)
        self.assertEqual(states.STOPPED, self.cloud.instance(uuid).vm_state)
        (service,) = self.cloud.read(
            hosts.list_services, operations.COMPUTE_BINARY, 'a'
        )
        self.assertEqual(alive, service.incarnation)

    # -- undoing -------------------------------------------------------------

    def test_deferrable_undo_does_not_set_error(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.inject_fault('a', 'start_live_migration', 'no')
        self.cloud.world.inject_fault(
            'b', 'rollback_live_migration_at_destination', 'busy', times=1000
        )
        begun = self.cloud.begin('live_migrate', uuid, wait=False)
        self.cloud.wait_for(
            lambda: self.cloud.operations(uuid)[-1].wait_reason
        )
        self.late(begun.operation.id)
        undo = next(
            s
            for s in self.cloud.read(operations.list_steps, begun.operation.id)
            if s.undoes is not None
        )
        self.cloud.database.write(
            lambda c: recovery.handle_deadline(c, undo.id, False, 'c')
        )
        instance = self.cloud.instance(uuid)
        self.assertEqual(('a', states.ACTIVE), _place(instance))
        self.assertIsNone(instance.task_id)
        self.cloud.world.inject_fault(
            'b', 'rollback_live_migration_at_destination', times=0
        )
        self.cloud.world.store.delete(
            'b/faults/rollback_live_migration_at_destination'
        )
        self.cloud.settle(uuid)

    # -- the fake hypervisor -------------------------------------------------

    def test_arrived_guest_keeps_its_host(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.begin('live_migrate', uuid)
        self.assertEqual([], self.cloud.world.store.list_names('b/migrated'))


def _place(instance):
    return instance.host, instance.vm_state
