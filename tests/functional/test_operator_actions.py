# SPDX-License-Identifier: Apache-2.0
"""Wait reasons, logged recovery decisions, and operator actions."""

import collections
import datetime

import fixtures

from minova import clock
from minova import exception
from minova import states
from minova.db.queries import host_removal
from minova.db.queries import hosts
from minova.db.queries import operations
from minova.engine import begin
from minova.engine import next_steps
from minova.engine import operation_log
from minova.engine import operator_actions
from tests.functional import base


class OperatorActionsTestCase(base.RecoveryTestCase):
    """Two hosts, and the commands of an operator."""

    def setUp(self):
        super().setUp()
        self.config(group='conductor', service_down_time=2.0)

    def last_operation(self, uuid):
        """Return the newest operation of an instance."""
        return self.cloud.operations(uuid)[-1]

    def logged(self, operation):
        """Return the log lines of an operation after its begin."""
        name = operation_log.describe(operation)
        found = [
            line.partition(f'{name}: ')[2]
            for line in self.log.output.splitlines()
            if name in line
        ]
        self.assertRegex(found[0], '^begins: request=.* deadline=.*Z$')
        return found[1:]

    def sweep(self, times=3):
        for _ in range(times):
            self.cloud.conductors['conductor0'].sweeper.sweep()

    def wait_until_waiting(self, uuid):
        """Wait until the newest operation waits; return it."""
        self.cloud.wait_for(lambda: self.last_operation(uuid).wait_reason)
        return self.last_operation(uuid)

    def start_stuck(self, kind, host, method, uuid, **options):
        """Crash ``host`` at ``method`` of an operation; return it."""
        crashing = self.crash_at(host, method)
        self.cloud.begin(kind, uuid, wait=False, **options)
        self.assertTrue(crashing.crashed.wait(10))
        self.take_down(host)
        return self.wait_until_waiting(uuid)

    def abandon(self, operation, reason='rack 4 burnt', force=False):
        return self.cloud.database.write(
            lambda c: operator_actions.abandon(
                c, operation.id, reason, force, 'console'
            )
        )

    def step(self, operation, method):
        steps = self.cloud.read(operations.list_steps, operation.id)
        return next(step for step in steps if step.method == method)

    def next_steps(self, operation):
        """Return the predictions by step."""
        return {
            prospect.step.method: prospect
            for prospect in self.cloud.read(next_steps.predict, operation)
        }

    def assert_released(self, uuid, vm_state):
        """No operation owns the instance, and no event is open."""
        instance = self.cloud.instance(uuid)
        self.assertEqual(
            (vm_state, None, None),
            (instance.vm_state, instance.task_state, instance.task_id),
        )
        emitted = collections.Counter()
        for notice in self.cloud.notifications(uuid):
            name, _, phase = notice.event_type.rpartition('.')
            if phase == 'start':
                emitted[notice.operation_id, name] += 1
            elif (notice.operation_id, name) in emitted:
                emitted[notice.operation_id, name] -= 1
        self.assertEqual({0}, set(emitted.values()))

    def assert_nothing_left(self, uuid):
        for host in ('a', 'b'):
            self.assertIsNone(self.cloud.world.guest(host, uuid))
            self.assertIsNone(self.cloud.world.get_disks(host, uuid))
            self.assertIsNone(
                self.cloud.world.get_disks(host, uuid, retained=True)
            )
        self.assertEqual({}, self.cloud.allocations(uuid))


class WaitingTest(OperatorActionsTestCase):
    """The reason and start of a wait, and the prediction."""

    def test_a_host_that_is_away_and_comes_back(self):
        uuid = self.cloud.boot(host='a')
        before = clock.now()
        noted = self.start_stuck('stop', 'a', 'shutdown', uuid)
        self.assertTrue(before <= noted.waiting_since <= clock.now())
        self.sweep()
        again = self.last_operation(uuid)
        self.assertEqual(noted.waiting_since, again.waiting_since)
        self.assertEqual(noted.wait_reason, again.wait_reason)
        prospect = self.next_steps(noted)['stop_instance']
        self.assertIn('when the compute of a registers', prospect.action)
        self.assertIn('keeps waiting', prospect.at_deadline)
        self.cloud.start_compute('a')
        self.cloud.settle(uuid)
        ended = self.last_operation(uuid)
        self.assertIsNone(ended.wait_reason)
        self.assertIsNone(ended.waiting_since)
        waits, taken, end = self.logged(ended)
        self.assertRegex(
            waits,
            r'^waits for host a to return for stop_instance '
            r'\(no heartbeat since .* UTC\)$',
        )
        self.assertEqual('resumes stop_instance: host a has restarted', taken)
        self.assertRegex(end, r'^ends: outcome=done duration=\d+\.\d{3}s$')

    def test_plain_run_has_no_incidents(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.begin('live_migrate', uuid)
        self.cloud.delete(uuid)
        for operation in self.cloud.operations(uuid):
            (end,) = self.logged(operation)
            self.assertIn('outcome=done', end)
            self.assertEqual(0, operation.incidents)

    def test_unwinding_is_logged(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.inject_fault('b', 'pre_live_migration', 'no space')
        self.cloud.begin('live_migrate', uuid)
        operation = self.last_operation(uuid)
        dest, source, back, retry, last, end = [
            line for line in self.logged(operation) if 'sweeper' not in line
        ]
        self.assertRegex(
            dest, 'step pre_live_migration on b failed: .*no space'
        )
        self.assertRegex(source, 'step live_migration on a failed: .*no space')
        self.assertRegex(
            back, 'rolls back: live_migration on a failed: .*no space'
        )
        self.assertEqual('tries another host', retry)
        self.assertRegex(
            last, 'rolls back: migrate_server failed: .*b: it was tried'
        )
        self.assertRegex(
            end,
            r'^ends: outcome=rolled_back duration=[\d.]+s error: .*no space',
        )

    def test_waits_since_first_failure(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.inject_fault('a', 'destroy', 'device busy', times=2)
        self.cloud.delete(uuid, wait=False)
        first = self.wait_until_waiting(uuid)
        prospect = self.next_steps(first)['terminate_instance']
        self.assertRegex(prospect.action, 'attempt 2 ')
        self.assertIn('leaves the instance in error', prospect.at_deadline)
        self.cloud.wait_for(
            lambda: (
                'attempt 2' in (self.last_operation(uuid).wait_reason or '')
            )
        )
        self.assertEqual(
            first.waiting_since, self.last_operation(uuid).waiting_since
        )
        self.cloud.settle(uuid)
        self.assertIsNone(self.last_operation(uuid).waiting_since)
        emitted = [t for t in self.logged(first) if not t.startswith('step')]
        self.assertEqual(3, len(emitted), emitted)
        self.assertRegex(
            emitted[1],
            'retries terminate_instance on a in 2 s: attempt 2 failed: '
            '.*device busy',
        )
        self.assertIn('outcome=done', emitted[2])

    def test_two_hosts_that_are_away(self):
        # One wait is recorded at a time; sweeps do not alternate.
        uuid = self.cloud.boot(host='a')
        self.cloud.begin('migrate', uuid)
        for host in ('a', 'b'):
            self.take_down(host)
        self.cloud.begin('force_delete', uuid, begin.delete_params, wait=False)
        noted = self.wait_until_waiting(uuid)
        # The other host counts as down a little later.
        for host in ('a', 'b'):
            self.cloud.wait_for(lambda host=host: self.silent(host) > 3)
        self.sweep()
        self.assertEqual(noted, self.last_operation(uuid))
        for host in ('a', 'b'):
            self.cloud.start_compute(host)
        self.cloud.settle(uuid)
        self.assert_nothing_left(uuid)
        # Each host once, in order.
        waited = [t for t in self.logged(noted) if t.startswith('waits')]
        self.assertIn(len(waited), (1, 2))

    def silent(self, host):
        return self.cloud.read(hosts.list_services, 'nova-compute', host)[
            0
        ].heartbeat_age

    def report(self, host, **values):
        def work(connection):
            found = hosts.list_services(connection, 'nova-compute', host)
            hosts.update_service(connection, found[0].id, values)

        self.cloud.database.write(work)

    def test_host_without_heartbeats(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.inject_delay('a', 'shutdown', 4)
        self.cloud.begin('stop', uuid, wait=False)
        operation = self.last_operation(uuid)
        self.cloud.wait_for(
            lambda: self.step(operation, 'stop_instance').started_at
        )
        self.report('a', forced_down=True)
        self.wait_until_waiting(uuid)
        self.report('a', forced_down=False)
        self.cloud.wait_for(lambda: not self.last_operation(uuid).wait_reason)
        self.assertEqual('running', self.last_operation(uuid).state)
        prospect = self.next_steps(operation)['stop_instance']
        self.assertTrue(prospect.is_running)
        self.cloud.settle(uuid)
        waits, received, end = self.logged(operation)
        self.assertIn('it is forced down', waits)
        self.assertEqual(
            'continues stop_instance: host a sends heartbeats again', received
        )
        self.assertRegex(end, r'^ends: outcome=done duration=\d+\.\d{3}s$')


class RetryTest(OperatorActionsTestCase):
    """minova-manage operation retry."""

    def test_retry_ends_backoff(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.inject_fault('a', 'destroy', 'device busy')
        self.cloud.delete(uuid, wait=False)
        operation = self.wait_until_waiting(uuid)
        step = self.step(operation, 'terminate_instance')
        later = clock.now() + datetime.timedelta(hours=1)
        self.cloud.database.write(
            lambda c: operations.update_step(c, step, {'not_before': later})
        )
        self.assertIn(
            next_steps.format_time(later),
            self.next_steps(operation)['terminate_instance'].action,
        )
        paused = self.cloud.database.write(
            lambda c: operator_actions.retry(c, operation.id)
        )
        self.assertEqual([step.id], [one.id for one in paused])
        self.assertEqual(states.DELETED, self.cloud.settle(uuid).vm_state)

    def test_retry_ended(self):
        uuid = self.cloud.boot(host='a')
        error = self.assertRaises(
            exception.Conflict,
            self.cloud.database.write,
            lambda c: operator_actions.retry(c, self.last_operation(uuid).id),
        )
        self.assertRegex(str(error), 'has ended at .*: done')


class AbandonTest(OperatorActionsTestCase):
    """minova-manage operation abandon."""

    def test_a_live_migration_whose_source_is_lost(self):
        uuid = self.cloud.boot(host='a')
        self.config(group='fake', migration_seconds=3600)
        self.cloud.begin('live_migrate', uuid, wait=False)
        driver = self.cloud.driver('a')
        self.cloud.wait_for(
            lambda: driver.migration_status(uuid).state == 'running'
        )
        self.take_down('a')
        operation = self.wait_until_waiting(uuid)
        ending = self.abandon(operation)
        self.assertTrue(ending.was_owner)
        self.assertEqual(
            (['a', 'b'],) * 2, (ending.leftover_hosts, ending.claimed_hosts)
        )
        self.assert_released(uuid, states.ERROR)
        ended = self.last_operation(uuid)
        self.assertEqual('failed', ended.state)
        self.assertIsNone(ended.waiting_since)
        self.assertEqual('error', self.cloud.last_migration(uuid).status)
        self.assertEqual(
            {('a', True): 1, ('b', False): 1}, self.cloud.allocations(uuid)
        )
        self.assertEqual(
            'The live_migrate was abandoned by an operator: rack 4 burnt. '
            'The guest or disks of the instance may be on: a, b.',
            self.cloud.fault(uuid)['message'],
        )
        emitted, end = self.logged(ended)[-2:]
        self.assertIn('is abandoned by an operator: The live_migr', emitted)
        self.assertIn('ends: outcome=failed', end)
        # The host that returns has no step to run.
        self.cloud.start_compute('a')
        self.cloud.wait_registered('a')
        self.sweep()
        self.assertEqual(ended, self.last_operation(uuid))
        self.assertEqual(states.ERROR, self.cloud.instance(uuid).vm_state)
        self.cloud.delete(uuid)
        self.assert_nothing_left(uuid)
        self.assert_spans_paired(uuid)

    def test_abandoned_guest_is_not_destroyed_as_unowned(self):
        # Only the source of a resize surely has a complete disk.
        uuid = self.cloud.boot(host='a')
        operation = self.start_stuck('migrate', 'b', 'grow_disks', uuid)
        self.abandon(operation)
        self.assert_released(uuid, states.ERROR)
        # Requests of the user are refused meanwhile.
        self.assertRaises(
            exception.HostDown,
            self.cloud.begin,
            'reboot_hard',
            uuid,
            wait=False,
        )
        self.assertEqual('b', self.cloud.instance(uuid).host)
        self.assertEqual(
            {('b', True): 1, ('a', False): 1}, self.cloud.allocations(uuid)
        )
        self.cloud.computes['a'].reconciler.reconcile()
        self.assertEqual('migrate', self.last_operation(uuid).kind)
        self.assertIsNotNone(
            self.cloud.world.get_disks('a', uuid, retained=True)
        )
        self.assertIn(
            'it is not known which host has the newest disk', self.log.output
        )
        # The delete removes it from both hosts; from b when b returns.
        self.cloud.begin('delete', uuid, begin.delete_params, wait=False)
        self.cloud.start_compute('b')
        self.cloud.settle(uuid)
        self.assert_nothing_left(uuid)

    def test_abandon_unwinding(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.inject_fault('b', 'start', 'no memory')
        operation = self.start_stuck('migrate', 'a', 'restore_disks', uuid)
        self.assertTrue(operation.unwinding)
        ending = self.abandon(operation, reason=None)
        self.assertEqual(['a', 'b'], ending.leftover_hosts)
        self.assert_released(uuid, states.ERROR)
        self.assertRegex(
            self.cloud.fault(uuid)['message'],
            r'^The migrate was abandoned by an operator\. .* '
            r'The operation was rolling back because: .*no memory',
        )

    def test_abandon_pending_cleanup(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.begin('migrate', uuid)
        crashing = self.crash_at('a', 'discard_disks')
        self.cloud.confirm(uuid, wait=False)
        self.assertTrue(crashing.crashed.wait(10))
        self.take_down('a')
        operation = self.wait_until_waiting(uuid)
        self.assertEqual(['resize.confirm'], self.cloud.open_spans(operation))
        ending = self.abandon(operation)
        self.assertFalse(ending.was_owner)
        self.assertEqual(['a'], ending.leftover_hosts)
        self.assertEqual(['a', 'b'], ending.claimed_hosts)
        self.assert_released(uuid, states.ACTIVE)
        self.assertEqual('failed', self.last_operation(uuid).state)
        self.assertEqual('error', self.cloud.last_migration(uuid).status)
        # The server of the user is unchanged.
        faults = self.cloud.read(
            lambda c: c.exec_driver_sql('SELECT * FROM faults').all()
        )
        self.assertEqual([], faults)
        # A disk without a guest keeps its allocation until the delete.
        self.cloud.start_compute('a')
        self.cloud.wait_registered('a')
        self.cloud.computes['a'].reconciler.reconcile()
        self.assertIsNotNone(
            self.cloud.world.get_disks('a', uuid, retained=True)
        )
        self.assertEqual(
            {('a', False): 1, ('b', True): 1}, self.cloud.allocations(uuid)
        )
        self.cloud.delete(uuid)
        self.assert_nothing_left(uuid)

    def test_cleanup_on_lost_host(self):
        uuid = self.cloud.boot(host='a')
        self.take_down('a')
        self.cloud.begin('delete', uuid, begin.delete_params, wait=False)
        operation = self.wait_until_waiting(uuid)
        ending = self.abandon(operation)
        self.assertEqual(
            (['a'], ['a']), (ending.leftover_hosts, ending.claimed_hosts)
        )
        self.assert_released(uuid, states.DELETED)
        # The allocations of the host are deleted with its service.
        self.assertEqual(
            (0, 0, 0),
            tuple(
                vars(self.cloud.read(host_removal.count_usage, 'a')).values()
            ),
        )
        self.cloud.database.write(
            lambda c: host_removal.remove(
                c, hosts.list_services(c, 'nova-compute', 'a')[0]
            )
        )
        self.assertEqual({}, self.cloud.allocations(uuid))

    def test_unused_allocation_is_released(self):
        uuid = self.cloud.boot(host='a')
        # Until a call of the source or a poll, b has nothing of the guest.
        away = exception.Unavailable(what='b', reason='it is cut off')
        self.useFixture(
            fixtures.MockPatchObject(
                self.cloud.computes['a'].runner._conductor,
                'call_step',
                side_effect=away,
            )
        )
        self.config(heartbeat_interval=60)
        clock.sleep(1)
        self.cloud.begin('live_migrate', uuid, wait=False)
        self.cloud.wait_for(
            lambda: (
                self.cloud.last_migration(uuid)
                and self.step(
                    self.last_operation(uuid), 'live_migration'
                ).started_at
            )
        )
        ending = self.abandon(self.last_operation(uuid), force=True)
        self.assertEqual(
            (['a'], ['a']), (ending.leftover_hosts, ending.claimed_hosts)
        )
        self.assertEqual({('a', True): 1}, self.cloud.allocations(uuid))

    def test_abandon_running_step(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.inject_delay('a', 'shutdown', 2)
        self.cloud.begin('stop', uuid, wait=False)
        operation = self.last_operation(uuid)
        self.cloud.wait_for(
            lambda: self.step(operation, 'stop_instance').started_at
        )
        error = self.assertRaises(exception.Conflict, self.abandon, operation)
        self.assertIn(
            'cannot be abandoned: host a is up and runs stop_instance. Wait',
            str(error),
        )
        self.assertEqual('running', self.last_operation(uuid).state)
        self.abandon(operation, force=True)
        self.assert_released(uuid, states.ERROR)
        # The conductor refuses the result of the step.
        self.cloud.wait_for(
            lambda: 'step stop_instance on a stops: ' in self.log.output
        )
        self.assert_released(uuid, states.ERROR)
        self.assertEqual('failed', self.last_operation(uuid).state)
        self.assertEqual(
            'preempted', self.step(operation, 'stop_instance').state
        )
        self.cloud.begin('reboot_hard', uuid)
        self.assert_released(uuid, states.ACTIVE)

    def test_abandon_ended_or_unknown(self):
        uuid = self.cloud.boot(host='a')
        before = self.cloud.notifications(uuid)
        error = self.assertRaises(
            exception.Conflict, self.abandon, self.last_operation(uuid)
        )
        self.assertRegex(
            str(error), '^Operation .* create .* has ended at .*: done'
        )
        self.assertEqual(before, self.cloud.notifications(uuid))
        self.assertRaises(
            exception.OperationNotFound,
            self.cloud.database.write,
            lambda c: operator_actions.abandon(c, 'x', None, True, 'console'),
        )
