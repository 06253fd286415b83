# SPDX-License-Identifier: Apache-2.0
"""Operations of instances on a host that is down."""

from minova import states
from minova.engine import begin
from tests.fixtures.cloud import format_notifications
from tests.functional import base


class HostDownTest(base.RecoveryTestCase):
    """A host is down for a long time."""

    def test_delete(self):
        uuid = self.cloud.boot(host='a')
        since = len(self.cloud.consumer.of_instance(uuid))
        self.take_down('a')
        self.cloud.begin('delete', uuid, begin.delete_params, wait=False)
        self.assertEqual(states.DELETED, self.cloud.instance(uuid).vm_state)
        self.cloud.wait_for(
            lambda: len(self.cloud.consumer.of_instance(uuid)) == since + 4
        )
        self.assertEqual(
            [
                'update(None>deleting) [api.api]',
                'delete.start [api.api]',
                'update(deleting>None) active>deleted [api.api]',
                'delete.end [api.api]',
            ],
            list(format_notifications(self.cloud.consumer.of_instance(uuid)))[
                since:
            ],
        )
        self.assertEqual(['a'], self.cloud.world.running(uuid))
        self.cloud.wait_for(
            lambda: self.cloud.operations(uuid)[-1].wait_reason
        )
        self.assertIn(
            'host a to return', self.cloud.operations(uuid)[-1].wait_reason
        )
        self.cloud.start_compute('a')
        self.cloud.settle(uuid)
        self.assertEqual([], self.cloud.world.running(uuid))
        self.assertEqual({}, self.cloud.allocations(uuid))
        self.assertEqual(
            ['shutdown.start [compute.a]', 'shutdown.end [compute.a]'],
            self.emitted(uuid, since + 4),
        )

    def test_silence_of_all_hosts(self):
        """While the broker is down, no single host is known to be down."""
        self.config(group='conductor', service_down_time=60)
        for name in 'ab':
            self.cloud.stop(self.cloud.computes[name])
        for other, is_known in ((3, True), (50, False), (58, False)):
            self.cloud.set_silence(a=61, b=other)
            found = self.cloud.database.read(
                lambda connection: begin.is_known_down(connection, 'a')
            )
            self.assertIs(is_known, found, other)

    def emitted(self, uuid, since=0):
        """Return the notifications of an instance."""
        found = self.cloud.consumer.of_instance(uuid)
        return list(format_notifications(found))[since:]

    def test_delete_under_way_when_the_host_dies(self):
        uuid = self.cloud.boot(host='a')
        crashing = self.crash_at('a', 'destroy')
        self.cloud.begin('delete', uuid, begin.delete_params, wait=False)
        self.assertTrue(crashing.crashed.wait(10))
        self.take_down('a')
        self.cloud.wait_for(
            lambda: self.cloud.instance(uuid).vm_state == states.DELETED
        )
        # The guest may still be there, so its shutdown has no end.
        self.cloud.wait_for(
            lambda: self.emitted(uuid)[-1].startswith('delete.end')
        )
        before = self.emitted(uuid)
        self.assertIn('shutdown.start [compute.a]', before)
        self.assertNotIn('shutdown.end [compute.a]', before)
        self.cloud.start_compute('a')
        self.cloud.settle(uuid)
        self.assertEqual([], self.cloud.world.running(uuid))
        self.assertEqual(
            ['shutdown.end [compute.a]'], self.emitted(uuid, len(before))
        )
        self.assert_spans_paired(uuid)

    def test_confirm_does_not_wait_for_the_source(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.begin('migrate', uuid)
        self.take_down('a')
        self.cloud.confirm(uuid, wait=False)
        instance = self.cloud.instance(uuid)
        self.assertEqual(states.ACTIVE, instance.vm_state)
        self.assertIsNone(instance.task_id)
        self.assertEqual(
            {('a', False): 1, ('b', True): 1}, self.cloud.allocations(uuid)
        )
        # The user continues meanwhile.
        self.cloud.begin('reboot_hard', uuid, wait=False)
        self.cloud.wait_for(lambda: self.cloud.instance(uuid).task_id is None)
        self.cloud.start_compute('a')
        self.cloud.settle(uuid)
        self.assertEqual({('b', True): 1}, self.cloud.allocations(uuid))
        self.assertIsNone(self.cloud.world.get_disks('a', uuid, retained=True))

    def test_unstarted_build_is_rescheduled(self):
        self.cloud.stop(self.cloud.computes['a'])
        # The host still counts as up and is the first choice.
        uuid = self.cloud.boot(wait=False)
        self.assertIn(self.cloud.instance(uuid).host, ('a', None))
        self.config(group='conductor', service_down_time=2.0)
        self.cloud.wait_for(lambda: self.cloud.instance(uuid).host == 'b')
        instance = self.cloud.settle(uuid)
        self.assertEqual(states.ACTIVE, instance.vm_state)

    def test_a_rollback_does_not_wait_for_the_destination(self):
        uuid = self.cloud.boot(host='a')
        self.config(group='fake', migration_seconds=3600)
        self.cloud.begin('live_migrate', uuid, wait=False)
        driver = self.cloud.driver('a')
        self.cloud.wait_for(
            lambda: driver.migration_status(uuid).state == 'running'
        )
        self.take_down('b')
        self.cloud.begin('abort_live_migrate', uuid, wait=False)
        self.cloud.wait_for(lambda: self.cloud.instance(uuid).task_id is None)
        self.assertEqual('a', self.cloud.instance(uuid).host)
        self.cloud.start_compute('b')
        self.cloud.settle(uuid)
        self.assertEqual(['a'], self.cloud.world.running(uuid))
        self.assertEqual([], self.cloud.driver('b').guests())
        self.assert_spans_paired(uuid)

    def test_cleaning_comes_first_when_the_instance_comes_back(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.begin('migrate', uuid)
        self.cloud.stop(self.cloud.computes['a'])
        self.cloud.confirm(uuid, wait=False)
        self.cloud.world.inject_delay('a', 'discard_disks', 0.7)
        self.cloud.start_compute('a')
        self.cloud.wait_registered('a')
        instance = self.cloud.begin('live_migrate', uuid)
        self.assertEqual('a', instance.host)
        self.assertEqual(['a'], self.cloud.world.running(uuid))
        self.assertEqual({('a', True): 1}, self.cloud.allocations(uuid))
