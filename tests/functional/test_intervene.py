# SPDX-License-Identifier: Apache-2.0
"""What waits says so, what recovers is told, and operators may intervene."""

import collections
import datetime

import fixtures

from minova import clock
from minova import exception
from minova import states
from minova.db import hosts
from minova.db import operations
from minova.db import retire
from minova.operations import begin
from minova.operations import intervene
from minova.operations import outlook
from tests.functional.test_recovery import RecoveryTestCase


class InterveneTestCase(RecoveryTestCase):
    """Two hosts, and what an operator sees and does."""

    def setUp(self):
        super().setUp()
        self.config(group='conductor', service_down_time=2.0)

    def last(self, uuid):
        """Return the newest operation of an instance."""
        return self.cloud.operations(uuid)[-1]

    def story(self, operation):
        """Return what was logged of an operation, without its name."""
        name = f'{operation.kind} {operation.id} of {operation.instance_uuid}'
        found = [
            line.partition(name)[2].lstrip(': ')
            for line in self.log.output.splitlines()
            if name in line
        ]
        self.assertNotIn('', found)
        return found

    def sweep(self, times=3):
        for _ in range(times):
            self.cloud.conductors['conductor0'].sweeper.sweep()

    def waiting(self, uuid):
        """Wait until the newest operation waits; return it."""
        self.cloud.wait_for(lambda: self.last(uuid).waits_for)
        return self.last(uuid)

    def stuck(self, kind, host, method, uuid, **options):
        """Let ``host`` die at ``method`` of an operation; return that."""
        dying = self.die_at(host, method)
        self.cloud.begin(kind, uuid, wait=False, **options)
        self.assertTrue(dying.died.wait(10))
        self.take_down(host)
        return self.waiting(uuid)

    def abandon(self, operation, reason='rack 4 burnt', force=False):
        return self.cloud.database.write(
            lambda c: intervene.abandon(
                c, operation.id, reason, force, 'console'
            )
        )

    def step(self, operation, method):
        steps = self.cloud.read(operations.steps_of, operation.id)
        return next(step for step in steps if step.method == method)

    def next(self, operation):
        """Return what is said to happen next, by step."""
        return {
            prospect.step.method: prospect
            for prospect in self.cloud.read(outlook.of, operation)
        }

    def assert_let_go(self, uuid, vm_state):
        """Nothing holds the instance, and all that was begun was ended."""
        instance = self.cloud.instance(uuid)
        self.assertEqual(
            (vm_state, None, None),
            (instance.vm_state, instance.task_state, instance.task_id),
        )
        told = collections.Counter()
        for notice in self.cloud.told(uuid):
            name, _, phase = notice.event_type.rpartition('.')
            if phase == 'start':
                told[notice.operation_id, name] += 1
            elif (notice.operation_id, name) in told:
                told[notice.operation_id, name] -= 1
        self.assertEqual({0}, set(told.values()))

    def assert_nothing_left(self, uuid):
        for host in ('a', 'b'):
            self.assertIsNone(self.cloud.world.guest(host, uuid))
            self.assertIsNone(self.cloud.world.disk(host, uuid))
            self.assertIsNone(self.cloud.world.disk(host, uuid, aside=True))
        self.assertEqual({}, self.cloud.allocations(uuid))


class WaitingTest(InterveneTestCase):
    """For what, since when, and what happens next."""

    def test_a_host_that_is_away_and_comes_back(self):
        uuid = self.cloud.boot(host='a')
        before = clock.now()
        noted = self.stuck('stop', 'a', 'shutdown', uuid)
        self.assertTrue(before <= noted.waits_since <= clock.now())
        self.sweep()
        again = self.last(uuid)
        self.assertEqual(noted.waits_since, again.waits_since)
        self.assertEqual(noted.waits_for, again.waits_for)
        prospect = self.next(noted)['stop_instance']
        self.assertIn('when the compute of a registers', prospect.next)
        self.assertIn('it waits on', prospect.late)
        self.cloud.start_compute('a')
        self.cloud.settle(uuid)
        ended = self.last(uuid)
        self.assertIsNone(ended.waits_for)
        self.assertIsNone(ended.waits_since)
        waits, taken, end = self.story(ended)
        self.assertRegex(
            waits,
            r'^waits for host a to return for stop_instance '
            r'\(nothing was heard of it since .* UTC\)$',
        )
        self.assertEqual(
            'stop_instance is taken up again by the new start of host a', taken
        )
        self.assertEqual('ended: done', end)

    def test_what_goes_its_plain_course_is_not_told(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.begin('live_migrate', uuid)
        self.cloud.delete(uuid)
        for operation in self.cloud.operations(uuid):
            self.assertEqual([], self.story(operation))
            self.assertEqual(0, operation.incidents)

    def test_what_is_taken_back(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.break_('b', 'prepare_reception', 'no space')
        self.cloud.begin('live_migrate', uuid)
        operation = self.last(uuid)
        dest, source, back, end = self.story(operation)
        self.assertRegex(dest, 'pre_live_migration failed here: .*no space')
        self.assertRegex(source, 'live_migration failed here: .*no space')
        self.assertRegex(
            back, 'is taken back: live_migration on a failed: .*no space'
        )
        self.assertEqual('ended: rolled_back', end)

    def test_what_fails_and_fails_waits_since_the_first_time(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.break_('a', 'remove', 'device busy', times=2)
        self.cloud.delete(uuid, wait=False)
        first = self.waiting(uuid)
        prospect = self.next(first)['terminate_instance']
        self.assertRegex(prospect.next, 'attempt 2 ')
        self.assertIn('leaves the instance in error', prospect.late)
        self.cloud.wait_for(
            lambda: 'attempt 2' in (self.last(uuid).waits_for or '')
        )
        self.assertEqual(first.waits_since, self.last(uuid).waits_since)
        self.cloud.settle(uuid)
        self.assertIsNone(self.last(uuid).waits_since)
        told = [t for t in self.story(first) if 'failed here' not in t]
        self.assertEqual(3, len(told), told)
        self.assertRegex(
            told[1], 'attempt 2 failed: .*device busy; the next one is in 2 s'
        )
        self.assertEqual('ended: done', told[2])

    def test_two_hosts_that_are_away(self):
        # One wait is noted at a time, and not each in turn at each sweep.
        uuid = self.cloud.boot(host='a')
        self.cloud.begin('migrate', uuid)
        for host in ('a', 'b'):
            self.take_down(host)
        self.cloud.begin('force_delete', uuid, begin.deletion, wait=False)
        noted = self.waiting(uuid)
        # The other one is known to be down a little later.
        for host in ('a', 'b'):
            self.cloud.wait_for(lambda host=host: self.silent(host) > 3)
        self.sweep()
        self.assertEqual(noted, self.last(uuid))
        for host in ('a', 'b'):
            self.cloud.start_compute(host)
        self.cloud.settle(uuid)
        self.assert_nothing_left(uuid)
        # Each in its turn, and no more.
        waited = [t for t in self.story(noted) if t.startswith('waits')]
        self.assertIn(len(waited), (1, 2))

    def silent(self, host):
        return self.cloud.read(hosts.services, 'nova-compute', host)[0].silent

    def say(self, host, **values):
        def work(connection):
            found = hosts.services(connection, 'nova-compute', host)
            hosts.update_service(connection, found[0].id, values)

        self.cloud.database.write(work)

    def test_a_host_that_was_only_not_heard(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.slow('a', 'shutdown', 4)
        self.cloud.begin('stop', uuid, wait=False)
        operation = self.last(uuid)
        self.cloud.wait_for(
            lambda: self.step(operation, 'stop_instance').started_at
        )
        self.say('a', forced_down=True)
        self.waiting(uuid)
        self.say('a', forced_down=False)
        self.cloud.wait_for(lambda: not self.last(uuid).waits_for)
        self.assertEqual('running', self.last(uuid).state)
        prospect = self.next(operation)['stop_instance']
        self.assertTrue(prospect.at_work)
        self.cloud.settle(uuid)
        waits, heard, end = self.story(operation)
        self.assertIn('it is forced down', waits)
        self.assertEqual(
            'stop_instance goes on: host a is heard of again', heard
        )
        self.assertEqual('ended: done', end)


class RetryTest(InterveneTestCase):
    """minova-manage operation retry."""

    def test_a_pause_is_over(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.break_('a', 'remove', 'device busy')
        self.cloud.delete(uuid, wait=False)
        operation = self.waiting(uuid)
        step = self.step(operation, 'terminate_instance')
        later = clock.now() + datetime.timedelta(hours=1)
        self.cloud.database.write(
            lambda c: operations.update_step(c, step, {'not_before': later})
        )
        self.assertIn(
            outlook.moment(later),
            self.next(operation)['terminate_instance'].next,
        )
        paused = self.cloud.database.write(
            lambda c: intervene.retry(c, operation.id)
        )
        self.assertEqual([step.id], [one.id for one in paused])
        self.assertEqual(states.DELETED, self.cloud.settle(uuid).vm_state)

    def test_what_has_ended(self):
        uuid = self.cloud.boot(host='a')
        error = self.assertRaises(
            exception.Conflict,
            self.cloud.database.write,
            lambda c: intervene.retry(c, self.last(uuid).id),
        )
        self.assertRegex(str(error), 'has ended at .*: done')


class AbandonTest(InterveneTestCase):
    """minova-manage operation abandon."""

    def test_a_live_migration_whose_source_is_lost(self):
        uuid = self.cloud.boot(host='a')
        self.config(group='fake', migration_seconds=3600)
        self.cloud.begin('live_migrate', uuid, wait=False)
        driver = self.cloud.driver('a')
        self.cloud.wait_for(lambda: driver.migration(uuid).state == 'running')
        self.take_down('a')
        operation = self.waiting(uuid)
        ending = self.abandon(operation)
        self.assertTrue(ending.owned)
        self.assertEqual((['a', 'b'],) * 2, (ending.left, ending.held))
        self.assert_let_go(uuid, states.ERROR)
        ended = self.last(uuid)
        self.assertEqual('failed', ended.state)
        self.assertIsNone(ended.waits_since)
        self.assertEqual('error', self.cloud.last_move(uuid).status)
        self.assertEqual(
            {('a', True): 1, ('b', False): 1}, self.cloud.allocations(uuid)
        )
        self.assertEqual(
            'The live_migrate was abandoned by an operator: rack 4 burnt. '
            'The guest or disks of the instance may be on: a, b.',
            self.cloud.fault(uuid)['message'],
        )
        told, end = self.story(ended)[-2:]
        self.assertIn('is abandoned: The live_migrate was', told)
        self.assertEqual('ended: failed', end)
        # The host that comes back finds that nothing is wanted of it.
        self.cloud.start_compute('a')
        self.cloud.wait_registered('a')
        self.sweep()
        self.assertEqual(ended, self.last(uuid))
        self.assertEqual(states.ERROR, self.cloud.instance(uuid).vm_state)
        self.cloud.delete(uuid)
        self.assert_nothing_left(uuid)
        self.pairs(uuid)

    def test_a_guest_elsewhere_is_not_removed_as_a_stranger(self):
        # The source of a resize has the only disk that is sure to be whole.
        uuid = self.cloud.boot(host='a')
        operation = self.stuck('migrate', 'b', 'grow_disks', uuid)
        self.abandon(operation)
        self.assert_let_go(uuid, states.ERROR)
        # What the user tries meanwhile changes nothing.
        self.cloud.begin('reboot_hard', uuid, wait=False)
        self.cloud.wait_for(lambda: self.last(uuid).state == 'failed')
        self.assertEqual('b', self.cloud.instance(uuid).host)
        self.assertEqual(
            {('b', True): 1, ('a', False): 1}, self.cloud.allocations(uuid)
        )
        self.cloud.computes['a'].reconciler.sweep()
        self.assertEqual('reboot_hard', self.last(uuid).kind)
        self.assertIsNotNone(self.cloud.world.disk('a', uuid, aside=True))
        self.assertIn('which is in error: left', self.log.output)
        # Deleted, it is removed from both; b does it when it returns.
        self.cloud.begin('delete', uuid, begin.deletion, wait=False)
        self.cloud.start_compute('b')
        self.cloud.settle(uuid)
        self.assert_nothing_left(uuid)

    def test_what_is_being_taken_back(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.break_('b', 'start', 'no memory')
        operation = self.stuck('migrate', 'a', 'take_back', uuid)
        self.assertTrue(operation.unwinding)
        ending = self.abandon(operation, reason=None)
        self.assertEqual(['a', 'b'], ending.left)
        self.assert_let_go(uuid, states.ERROR)
        self.assertRegex(
            self.cloud.fault(uuid)['message'],
            r'^The migrate was abandoned by an operator\. .* '
            r'It was being taken back because: .*no memory',
        )

    def test_cleanup_that_is_owed(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.begin('migrate', uuid)
        dying = self.die_at('a', 'drop_aside')
        self.cloud.confirm(uuid, wait=False)
        self.assertTrue(dying.died.wait(10))
        self.take_down('a')
        operation = self.waiting(uuid)
        self.assertEqual(['resize.confirm'], self.cloud.opened(operation))
        ending = self.abandon(operation)
        self.assertFalse(ending.owned)
        self.assertEqual(['a'], ending.left)
        self.assertEqual(['a', 'b'], ending.held)
        self.assert_let_go(uuid, states.ACTIVE)
        self.assertEqual('failed', self.last(uuid).state)
        self.assertEqual('error', self.cloud.last_move(uuid).status)
        # Nothing has happened to the user's server.
        faults = self.cloud.read(
            lambda c: c.exec_driver_sql('SELECT * FROM faults').all()
        )
        self.assertEqual([], faults)
        # A disk without a guest stays, with its room, until the delete.
        self.cloud.start_compute('a')
        self.cloud.wait_registered('a')
        self.cloud.computes['a'].reconciler.sweep()
        self.assertIsNotNone(self.cloud.world.disk('a', uuid, aside=True))
        self.assertEqual(
            {('a', False): 1, ('b', True): 1}, self.cloud.allocations(uuid)
        )
        self.cloud.delete(uuid)
        self.assert_nothing_left(uuid)

    def test_what_a_lost_host_was_to_remove(self):
        uuid = self.cloud.boot(host='a')
        self.take_down('a')
        self.cloud.begin('delete', uuid, begin.deletion, wait=False)
        operation = self.waiting(uuid)
        ending = self.abandon(operation)
        self.assertEqual((['a'], ['a']), (ending.left, ending.held))
        self.assert_let_go(uuid, states.DELETED)
        # With its service goes the room that was kept on the host.
        self.assertEqual(
            (0, 0, 0),
            tuple(vars(self.cloud.read(retire.uses, 'a')).values()),
        )
        self.cloud.database.write(
            lambda c: retire.forget(
                c, hosts.services(c, 'nova-compute', 'a')[0]
            )
        )
        self.assertEqual({}, self.cloud.allocations(uuid))

    def test_room_that_nothing_was_begun_in_is_given_back(self):
        uuid = self.cloud.boot(host='a')
        # Until the source calls it, or it asks, b has nothing of the guest.
        away = exception.Unavailable(what='b', reason='it is cut off')
        self.useFixture(
            fixtures.MockPatchObject(
                self.cloud.computes['a'].runner._asking,
                'other',
                side_effect=away,
            )
        )
        self.config(group='compute', heartbeat_interval=60)
        clock.sleep(1)
        self.cloud.begin('live_migrate', uuid, wait=False)
        self.cloud.wait_for(
            lambda: (
                self.cloud.last_move(uuid)
                and self.step(self.last(uuid), 'live_migration').started_at
            )
        )
        ending = self.abandon(self.last(uuid), force=True)
        self.assertEqual((['a'], ['a']), (ending.left, ending.held))
        self.assertEqual({('a', True): 1}, self.cloud.allocations(uuid))

    def test_what_is_at_work(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.slow('a', 'shutdown', 2)
        self.cloud.begin('stop', uuid, wait=False)
        operation = self.last(uuid)
        self.cloud.wait_for(
            lambda: self.step(operation, 'stop_instance').started_at
        )
        error = self.assertRaises(exception.Conflict, self.abandon, operation)
        self.assertIn(
            'stop_instance is at work on host a, which is up; it would be '
            'cut off in the middle',
            str(error),
        )
        self.assertEqual('running', self.last(uuid).state)
        self.abandon(operation, force=True)
        self.assert_let_go(uuid, states.ERROR)
        # It is refused when it comes to tell that it is done.
        self.cloud.wait_for(
            lambda: 'stop_instance is cut off here' in self.log.output
        )
        self.assert_let_go(uuid, states.ERROR)
        self.assertEqual('failed', self.last(uuid).state)
        self.assertEqual(
            'preempted', self.step(operation, 'stop_instance').state
        )
        self.cloud.begin('reboot_hard', uuid)
        self.assert_let_go(uuid, states.ACTIVE)

    def test_what_has_ended_or_never_was(self):
        uuid = self.cloud.boot(host='a')
        before = self.cloud.told(uuid)
        error = self.assertRaises(
            exception.Conflict, self.abandon, self.last(uuid)
        )
        self.assertRegex(str(error), '^create .* has ended at .*: done')
        self.assertEqual(before, self.cloud.told(uuid))
        self.assertRaises(
            exception.NoSuchOperation,
            self.cloud.database.write,
            lambda c: intervene.abandon(c, 'x', None, True, 'console'),
        )
