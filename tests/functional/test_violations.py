# SPDX-License-Identifier: Apache-2.0
"""What simulations and the nemesis found broken once, each by its name."""

import contextlib
import datetime

import fixtures

from minova import clock
from minova import exception
from minova import states
from minova.conf import CONF
from minova.db import hosts
from minova.db import moves
from minova.db import operations
from minova.objects.host import GuestReport
from minova.operations import begin
from minova.operations import intervene
from minova.operations import overdue
from minova.states import Power
from minova.virt.fake.driver import FakeDriver
from tests import base
from tests.fixtures.cloud import Cloud


class ViolationsTest(base.TestCase):
    """Two hosts, an instance on the first."""

    hosts = ('a', 'b')

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(Cloud(self.hosts))
        self.big = self.cloud.flavor('big', memory_mb=1024)

    def late(self, operation_id):
        """Let an operation be past its deadline."""
        past = clock.now() - datetime.timedelta(seconds=1)
        self.cloud.database.write(
            lambda c: operations.update(c, operation_id, {'deadline': past})
        )

    def report(self, host, uuid, power=Power.SHUTDOWN):
        """Let a host report a guest; return whom the conductor wakes."""
        from minova.conductor import power as deciding

        guest = GuestReport(
            uuid=uuid,
            power_state=int(power),
            generation=-1,
            mark=1,
            reason=None,
        )
        return self.cloud.database.write(
            lambda c: deciding.correct(c, host, guest)
        )

    # -- resize --------------------------------------------------------------

    def test_a_resize_that_every_host_refuses_tried_again_for_ever(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.break_('b', 'has_aside')
        instance = self.cloud.resize(uuid, self.big)
        self.assertEqual(states.ACTIVE, instance.vm_state)
        operation = self.cloud.operations(uuid)[-1]
        self.assertEqual('rolled_back', operation.state)
        steps = self.cloud.read(operations.steps_of, operation.id)
        decisions = [s for s in steps if s.method == 'migrate_server']
        self.assertEqual(2, len(decisions))

    def test_disks_set_aside_by_half_were_left_at_the_source(self):
        uuid = self.cloud.boot(host='a')
        # As a crash between the two leaves it: a copy aside, and its own.
        shelf = self.cloud.world.shelf
        shelf.put(f'a/aside/{uuid}', shelf.get(f'a/disks/{uuid}'))
        shelf.put(f'b/disks/{uuid}', shelf.get(f'a/disks/{uuid}'))
        instance = self.cloud.resize(uuid, self.big)
        self.assertEqual(('b', states.RESIZED), _place(instance))
        self.assertIsNone(self.cloud.world.disk('a', uuid))
        self.assertIsNotNone(self.cloud.world.disk('a', uuid, aside=True))

    def test_a_delete_during_a_revert_left_the_move_reverting(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.resize(uuid, self.big)
        self.cloud.stop(self.cloud.computes['b'])
        self.cloud.revert(uuid, wait=False)
        self.cloud.begin('force_delete', uuid, begin.deletion, wait=False)
        move = self.cloud.read(moves.get, 1)
        self.assertEqual('cancelled', move.status)

    def test_a_revert_that_gave_up_lost_the_only_disk_to_comparing(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.resize(uuid, self.big)
        self.cloud.world.break_('b', 'remove', 'busy', times=1000)
        begun = self.cloud.revert(uuid, wait=False)
        self.cloud.wait_for(lambda: self.cloud.operations(uuid)[-1].waits_for)
        self.late(begun.operation.id)
        instance = self.cloud.settle(uuid)
        self.assertEqual(('b', states.ERROR), _place(instance))
        self.assertEqual('error', self.cloud.read(moves.get, 1).status)
        # The source's guest is a stranger there, and its disk the only one.
        self.assertEqual([], self.report('a', uuid))
        self.assertIsNotNone(self.cloud.world.disk('a', uuid, aside=True))

    def test_a_full_disk_made_a_revert_give_up(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.resize(uuid, self.big)
        self.cloud.world.break_(
            'a', 'take_back', 'No space left on device', kind='DiskFailed'
        )
        self.cloud.revert(uuid)
        instance = self.cloud.settle(uuid)
        self.assertEqual(('a', states.ACTIVE), _place(instance))
        self.assertIsNone(self.cloud.world.disk('a', uuid, aside=True))

    def test_a_start_made_disks_anew_that_were_set_aside(self):
        uuid = self.cloud.boot(host='a')
        shelf = self.cloud.world.shelf
        mine = shelf.get(f'a/disks/{uuid}') | {'mark': 'mine'}
        shelf.put(f'a/aside/{uuid}', mine)
        shelf.delete(f'a/disks/{uuid}')
        self.cloud.begin('reboot_hard', uuid)
        self.assertEqual('mine', shelf.get(f'a/disks/{uuid}').get('mark'))
        self.assertIsNone(shelf.get(f'a/aside/{uuid}'))

    def test_a_guest_went_off_after_its_unrescue_was_taken_back(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.begin('rescue', uuid)
        shelf = self.cloud.world.shelf
        before = shelf.get(f'a/guests/{uuid}')['boot']
        # It may obey a little later, but nobody gets to know.
        self.cloud.world.break_('a', 'shutdown', 'a full disk')
        self.cloud.begin('unrescue', uuid)
        instance = self.cloud.settle(uuid)
        self.assertEqual(('a', states.RESCUED), _place(instance))
        record = shelf.get(f'a/guests/{uuid}')
        self.assertEqual(before + 1, record['boot'])
        self.assertIsNone(record['off_at'])

    # -- live migration ------------------------------------------------------

    def test_a_migration_taken_back_unbegun_left_its_record_queued(self):
        uuid = self.cloud.boot(host='a')
        # It answers, but takes no step.
        self.useFixture(
            fixtures.MockPatchObject(self.cloud.computes['a'].runner, 'wake')
        )
        begun = self.cloud.begin('live_migrate', uuid, wait=False)
        step = self.cloud.wait_for(
            lambda: [
                s
                for s in self.cloud.read(
                    operations.steps_of, begun.operation.id
                )
                if s.method == 'live_migration'
            ]
        )[0]
        self.cloud.database.write(
            lambda c: overdue.host_is_down(c, step.id, 'silent', 'c')
        )
        self.cloud.wait_for(lambda: self.cloud.instance(uuid).task_id is None)
        self.assertEqual('rolled_back', self.cloud.operations(uuid)[-1].state)
        self.assertEqual('error', self.cloud.read(moves.get, 1).status)

    def test_a_migration_was_taken_back_when_its_destination_restarted(self):
        uuid = self.cloud.boot(host='a')
        before = self.cloud.driver('b')
        self.cloud.world.slow('a', 'migration', 0.5)
        self.cloud.begin('live_migrate', uuid, wait=False)
        self.cloud.wait_for(lambda: self.cloud.last_move(uuid))
        self.cloud.stop(self.cloud.computes['b'])
        self.assertIsNotNone(before)
        clock.sleep(1.5)
        self.cloud.start_compute('b')
        instance = self.cloud.settle(uuid)
        self.assertEqual(('b', states.ACTIVE), _place(instance))
        self.assertEqual('done', self.cloud.operations(uuid)[-1].state)

    def test_a_migration_was_taken_back_while_its_guest_moved_on(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.migrations_take(1.0)
        self.cloud.world.break_('a', 'migration', 'libvirt is away', times=2)
        self.cloud.begin('live_migrate', uuid, wait=False)
        waits = self.cloud.wait_for(
            lambda: self.cloud.operations(uuid)[-1].waits_for
        )
        self.assertIn('live_migration on a to succeed', waits)
        self.assertIn('libvirt is away', waits)
        instance = self.cloud.settle(uuid)
        self.assertEqual(('b', states.ACTIVE), _place(instance))
        self.assertEqual('done', self.cloud.operations(uuid)[-1].state)
        self.assertIsNone(self.cloud.driver('a').guest(uuid))

    def test_a_migration_was_taken_back_that_began_in_spite_of_an_error(self):
        uuid = self.cloud.boot(host='a')
        driver = self.cloud.computes['a'].driver

        def migrate(*args):
            FakeDriver.migrate(driver, *args)
            raise exception.GuestFailed(instance_id=uuid, reason='cut off')

        self.useFixture(fixtures.MockPatchObject(driver, 'migrate', migrate))
        self.cloud.begin('live_migrate', uuid, wait=False)
        instance = self.cloud.settle(uuid)
        self.assertEqual(('b', states.ACTIVE), _place(instance))
        self.assertEqual('done', self.cloud.operations(uuid)[-1].state)

    def test_a_migration_was_refused_when_no_destination_answered(self):
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

    def test_a_guest_that_was_paused_counted_as_one_that_runs(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.break_('a', 'guest', 'libvirt is away')
        self.cloud.begin('pause', uuid)
        instance = self.cloud.instance(uuid)
        self.assertEqual(states.PAUSED, instance.vm_state)
        self.assertEqual(Power.PAUSED, instance.power_state)

    # -- deletion ------------------------------------------------------------

    def test_what_a_lost_host_had_handed_over_was_left(self):
        uuid = self.cloud.boot(host='a')
        # It answers, but takes no step.
        self.useFixture(
            fixtures.MockPatchObject(self.cloud.computes['a'].runner, 'wake')
        )
        self.cloud.resize(uuid, self.big, wait=False)
        self.cloud.wait_for(
            lambda: (
                self.cloud.operations(uuid)[-1].outstanding == 1
                and self.cloud.last_move(uuid)
            )
        )
        disk = self.cloud.world.shelf.get(f'a/disks/{uuid}')
        begun = self.cloud.begin(
            'force_delete', uuid, begin.deletion, wait=False
        )
        self.cloud.wait_for(
            lambda: (
                [
                    step.state
                    for step in self.cloud.read(
                        operations.steps_of, begun.operation.id
                    )
                    if step.host == 'b'
                ]
                == ['done']
            )
        )
        # What was at work at a goes on a little, and then a is lost.
        self.cloud.world.shelf.put(f'b/disks/{uuid}', disk)
        self.cloud.stop(self.cloud.computes['a'])
        ending = self.cloud.database.write(
            lambda c: intervene.abandon(
                c, begun.operation.id, 'a is lost', True, 'operator'
            )
        )
        self.assertEqual(['b'], ending.looking)
        self.cloud.wait_for(lambda: self.cloud.world.disk('b', uuid) is None)

    # -- two starts of one compute -------------------------------------------

    def test_a_start_that_was_replaced_switched_the_guest_off(self):
        CONF.set_override('shutdown_timeout', 0.5, 'compute')
        uuid = self.cloud.boot(host='a')
        old = self.cloud.computes['a']
        self.cloud.world.slow('a', 'shutdown', 3.0, after=True)
        self.cloud.resize(uuid, self.big, wait=False)
        self.cloud.wait_for(
            lambda: self.cloud.driver('a').guest(uuid).power is Power.SHUTDOWN
        )
        self.cloud.world.shelf.delete('a/delays/shutdown')
        self.cloud.start_compute('a')
        self.cloud.settle(uuid)
        self.cloud.revert(uuid)
        self.cloud.wait_for(lambda: not old.runner._at_work)
        self.assertEqual(
            Power.RUNNING, self.cloud.driver('a').guest(uuid).power
        )
        self.assertIsNone(self.cloud.world.disk('b', uuid))

    def test_a_start_that_was_replaced_by_one_that_had_ended_did_nothing(self):
        uuid = self.cloud.boot(host='a')
        alive = self.cloud.computes['a'].incarnation
        # What an earlier start asked for arrives when that one is gone.
        self.cloud.database.write(
            lambda c: hosts.register_service(
                c, operations.COMPUTE, 'a', 'a-ghost', '1'
            )
        )
        self.config(group='conductor', service_down_time=3)
        self.cloud.begin('stop', uuid)
        self.assertEqual(states.STOPPED, self.cloud.instance(uuid).vm_state)
        (service,) = self.cloud.read(hosts.services, operations.COMPUTE, 'a')
        self.assertEqual(alive, service.incarnation)

    # -- undoing -------------------------------------------------------------

    def test_an_undo_that_may_wait_put_the_instance_in_error(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.break_('a', 'migrate', 'no')
        self.cloud.world.break_('b', 'cancel_reception', 'busy', times=1000)
        begun = self.cloud.begin('live_migrate', uuid, wait=False)
        self.cloud.wait_for(lambda: self.cloud.operations(uuid)[-1].waits_for)
        self.late(begun.operation.id)
        undo = next(
            s
            for s in self.cloud.read(operations.steps_of, begun.operation.id)
            if s.undoes is not None
        )
        self.cloud.database.write(
            lambda c: overdue.is_late(c, undo.id, False, 'c')
        )
        instance = self.cloud.instance(uuid)
        self.assertEqual(('a', states.ACTIVE), _place(instance))
        self.assertIsNone(instance.task_id)
        self.cloud.world.break_('b', 'cancel_reception', times=0)
        self.cloud.world.shelf.delete('b/faults/cancel_reception')
        self.cloud.settle(uuid)

    # -- the fake hypervisor -------------------------------------------------

    def test_a_guest_that_had_come_was_noted_as_gone_from_where_it_is(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.begin('live_migrate', uuid)
        self.assertEqual([], self.cloud.world.shelf.names('b/moved'))


def _place(instance):
    return instance.host, instance.vm_state
