# SPDX-License-Identifier: Apache-2.0
"""Recovery from crashes of computes and conductors, and from lost messages.

One test for each mechanism; the simulation explores all crash points.
"""

import threading

import fixtures

from minova import clock
from minova import exception
from minova import states
from minova.context import get_admin_context
from minova.db.queries import hosts
from minova.db.queries import operations
from minova.engine import begin
from minova.engine import step_lifecycle
from minova.objects.operation_params import CreateParams
from minova.objects.operation_params import EvacuateParams
from minova.objects.step_results import GuestState
from minova.objects.step_results import NoResult
from minova.states import PowerState
from tests.fixtures.cloud import format_notifications
from tests.functional import base


class CrashTest(base.RecoveryTestCase):
    """A compute crashes at some point and restarts."""

    def test_build_goes_on_where_it_was(self):
        for before in (True, False):
            crashing = self.crash_at('a', 'start', before)
            uuid = self.cloud.boot(wait=False, host='a')
            crashing.crashed.wait(10)
            self.assertEqual('spawning', self.cloud.instance(uuid).task_state)
            self.restart('a')
            instance = self.cloud.settle(uuid)
            self.assertEqual(states.ACTIVE, instance.vm_state)
            self.assertEqual(['a'], self.cloud.world.running(uuid))
            emitted = list(
                format_notifications(self.cloud.consumer.of_instance(uuid))
            )
            self.assertEqual(7, len(emitted))
            self.assert_spans_paired(uuid)

    def test_resize_goes_on_wherever_a_host_dies(self):
        for host, method in (
            ('a', 'send_disks'),
            ('a', 'retain_disks'),
            ('b', 'grow_disks'),
            ('b', 'define'),
            ('b', 'start'),
        ):
            for before in (True, False):
                with self.subTest(host=host, method=method, before=before):
                    self._resize_with_crash(host, method, before)

    def test_evacuation_goes_on_wherever_the_destination_dies(self):
        for method in ('create_disks', 'define', 'start'):
            for before in (True, False):
                with self.subTest(method=method, before=before):
                    self._evacuate_with_crash(method, before)

    def _evacuate_with_crash(self, method, before):
        uuid = self.cloud.boot(host='a')
        crashing = self.crash_at('b', method, before)
        self.cloud.stop(self.cloud.computes['a'])
        self.cloud.world.set_power('a', uuid, PowerState.SHUTDOWN)
        self.cloud.force_down('a')
        params = EvacuateParams(other_hosts=[], target_state=states.ACTIVE)
        self.cloud.begin('evacuate', uuid, lambda c, i: params, wait=False)
        self.assertTrue(crashing.crashed.wait(10))
        self.restart('b')
        self.cloud.force_down('a', False)
        self.restart('a')
        instance = self.cloud.settle(uuid)
        self.assertEqual(('b', 'active'), (instance.host, instance.vm_state))
        self.assertEqual(['b'], self.cloud.world.running(uuid))
        self.assertIsNone(self.cloud.world.get_disks('a', uuid))
        self.assert_spans_paired(uuid)
        self.cloud.delete(uuid)

    def _resize_with_crash(self, host, method, before):
        uuid = self.cloud.boot(host='a')
        disk = self.cloud.world.get_disks('a', uuid)
        crashing = self.crash_at(host, method, before)
        self.cloud.begin('migrate', uuid, wait=False)
        self.assertTrue(crashing.crashed.wait(10))
        self.restart(host)
        instance = self.cloud.settle(uuid)
        self.assertEqual(states.RESIZED, instance.vm_state)
        self.assertEqual('b', instance.host)
        self.assertEqual(['b'], self.cloud.world.running(uuid))
        self.assertEqual(
            disk['content'], self.cloud.world.get_disks('b', uuid)['content']
        )
        self.assert_spans_paired(uuid)
        self.cloud.revert(uuid)
        self.assertEqual(disk, self.cloud.world.get_disks('a', uuid))
        self.cloud.delete(uuid)

    def test_live_migration_is_found_again(self):
        for method, before in (
            ('start_live_migration', True),
            ('start_live_migration', False),
            ('destroy', True),
        ):
            with self.subTest(method=method, before=before):
                uuid = self.cloud.boot(host='a')
                crashing = self.crash_at('a', method, before)
                self.cloud.begin('live_migrate', uuid, wait=False)
                self.assertTrue(crashing.crashed.wait(10))
                self.restart('a')
                instance = self.cloud.settle(uuid)
                self.assertEqual('b', instance.host)
                self.assertEqual(['b'], self.cloud.world.running(uuid))
                self.assertIsNone(self.cloud.world.get_disks('a', uuid))
                self.assert_spans_paired(uuid)
                self.cloud.delete(uuid)

    def test_unwind_resumes(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.inject_fault('b', 'start', 'no memory')
        crashing = self.crash_at('a', 'restore_disks', before=False)
        self.cloud.resize(
            uuid, self.cloud.flavor('big', memory_mb=1024), wait=False
        )
        self.assertTrue(crashing.crashed.wait(10))
        self.restart('a')
        instance = self.cloud.settle(uuid)
        self.assertEqual(states.ACTIVE, instance.vm_state)
        self.assertEqual(('a', 'small'), (instance.host, instance.flavor.name))
        self.assertEqual(['a'], self.cloud.world.running(uuid))
        self.assert_spans_paired(uuid)

    def test_a_message_that_is_lost(self):
        uuid = self.cloud.boot(host='a')
        begin.begin(
            self.cloud.database,
            get_admin_context(),
            'stop',
            uuid,
            'api.api',
        )
        # No wake-up is sent: the host polls for due steps.
        self.assertEqual(states.STOPPED, self.cloud.settle(uuid).vm_state)

    def test_lost_wakeup_after_decision(self):
        context = self.cloud.context()
        instance = begin.new_instance(
            context,
            self.cloud.flavor(),
            display_name='x',
            hostname='x',
            reservation_id='r',
            image_ref='',
        )
        self.cloud.database.write(
            lambda c: begin.create(
                c, context, instance, 'api.api', CreateParams()
            )
        )
        found = self.cloud.settle(instance.uuid)
        self.assertEqual(states.ACTIVE, found.vm_state)

    def test_a_message_that_comes_twice(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.inject_delay('a', 'pause', 0.3)
        begun = self.cloud.begin('pause', uuid, wait=False)
        for _ in range(5):
            self.cloud.waker.wake(self.cloud.context(), begun.wakeups)
        self.cloud.settle(uuid)
        self.cloud.waker.wake(self.cloud.context(), begun.wakeups)
        self.cloud.begin('unpause', uuid)
        emitted = list(
            format_notifications(self.cloud.consumer.of_instance(uuid))
        )
        self.assertEqual(1, emitted.count('pause.start [compute.a]'))
        self.assertEqual(7 + 4 + 4, len(emitted))

    def test_an_older_start_of_a_host_is_fenced(self):
        uuid = self.cloud.boot(host='a')
        begun = begin.begin(
            self.cloud.database, get_admin_context(), 'pause', uuid, 'api.api'
        )
        step = begun.first_step
        self.cloud.settle(uuid)
        for incarnation in ('an older one', ''):
            self.assertRaises(
                exception.Stale,
                self.cloud.database.write,
                lambda c, own=incarnation: step_lifecycle.start(
                    c, step, 'a', own
                ),
            )
            self.assertRaises(
                exception.Stale,
                self.cloud.database.write,
                lambda c, own=incarnation: step_lifecycle.finish(
                    c, step, 'a', own, NoResult()
                ),
            )
            self.assertRaises(
                exception.Stale,
                self.cloud.database.write,
                lambda c, own=incarnation: step_lifecycle.fail(
                    c, step, 'a', own, exception.Failed('no'), None
                ),
            )
        self.assertEqual(states.PAUSED, self.cloud.instance(uuid).vm_state)

    def test_repeated_messages_get_the_same_answer(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.stop(self.cloud.computes['a'])
        begun = begin.begin(
            self.cloud.database, get_admin_context(), 'pause', uuid, 'api.api'
        )
        step = begun.first_step
        (service,) = self.cloud.read(hosts.list_services, 'nova-compute', 'a')
        own = service.incarnation
        write = self.cloud.database.write
        tickets = [
            write(lambda c: step_lifecycle.start(c, step, 'a', own))
            for _ in range(3)
        ]
        self.assertEqual({'run'}, {t.verdict for t in tickets})
        answers = [
            write(
                lambda c: step_lifecycle.finish(
                    c, step, 'a', own, GuestState(power_state=3)
                )
            )
            for _ in range(3)
        ]
        self.assertEqual([[], [], []], answers)
        emitted = list(
            format_notifications(self.cloud.consumer.of_instance(uuid))
        )
        self.cloud.settle(uuid)
        emitted = list(
            format_notifications(self.cloud.consumer.of_instance(uuid))
        )
        self.assertEqual(7 + 4, len(emitted))

    def test_a_delete_ends_what_runs(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.inject_delay('a', 'send_disks', 1.0)
        self.cloud.begin('migrate', uuid, wait=False)
        self.cloud.wait_for(
            lambda: self.cloud.instance(uuid).task_state == 'resize_migrating'
        )
        self.cloud.delete(uuid)
        instance = self.cloud.instance(uuid)
        self.assertEqual(states.DELETED, instance.vm_state)
        for host in ('a', 'b'):
            self.assertIsNone(self.cloud.world.guest(host, uuid))
            self.assertIsNone(self.cloud.world.get_disks(host, uuid))
            self.assertIsNone(
                self.cloud.world.get_disks(host, uuid, retained=True)
            )
        self.assertEqual({}, self.cloud.allocations(uuid))
        migrate, delete = self.cloud.operations(uuid)[-2:]
        self.assertEqual('preempted', migrate.state)
        self.assertEqual('done', delete.state)
        self.assert_spans_paired(uuid)
        emitted = list(
            format_notifications(self.cloud.consumer.of_instance(uuid))
        )
        self.assertIn('resize.error [api.api]', emitted)

    def test_a_force_delete_ends_at_once_whatever_runs(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.inject_delay('a', 'shutdown', 3.0)
        self.cloud.begin('stop', uuid, wait=False)
        self.cloud.wait_for(
            lambda: (
                'power_off.start [compute.a]'
                in format_notifications(self.cloud.consumer.of_instance(uuid))
            )
        )
        begun = self.cloud.begin(
            'force_delete', uuid, begin.delete_params, wait=False
        )
        instance = self.cloud.instance(uuid)
        self.assertEqual(states.DELETED, instance.vm_state)
        self.assertIsNone(instance.task_state)
        self.assertTrue(begun.wakeups)
        self.cloud.settle(uuid)
        self.assertIsNone(self.cloud.world.guest('a', uuid))
        self.assertEqual({}, self.cloud.allocations(uuid))
        self.assertEqual(
            [
                'power_off.error [api.api]',
                'delete.start [api.api]',
                'update(powering-off>None) active>deleted [api.api]',
                'delete.end [api.api]',
                'shutdown.start [compute.a]',
                'shutdown.end [compute.a]',
            ],
            list(format_notifications(self.cloud.consumer.of_instance(uuid)))[
                -6:
            ],
        )
        self.assert_spans_paired(uuid)


class StartTest(base.RecoveryTestCase):
    """Wake-ups and calls arrive before a compute has registered."""

    def setUp(self):
        super().setUp()
        self.uuid = self.cloud.boot(host='a')
        self.cloud.stop(self.cloud.computes['a'])
        self.stop_polling()
        self.service = self.cloud.compute_service('a')

    def before_it_registers(self, do):
        """Start the compute; call ``do`` when its RPC server runs."""
        conductor = self.service._conductor
        register = conductor.register_host

        def first_do(*args, **kwargs):
            do()
            return register(*args, **kwargs)

        self.useFixture(
            fixtures.MockPatchObject(conductor, 'register_host', first_do)
        )
        self.service.start()
        self.cloud.register_compute('a', self.service)

    def test_a_wake_up_was_lost(self):
        asked, registered = clock.event(), clock.event()
        take = self.service._conductor_client.start_step

        def slowly(context, step):
            asked.set()
            try:
                return take(context, step)
            finally:
                registered.wait(10)

        def begin_a_stop():
            self.cloud.begin('stop', self.uuid, wait=False)
            # At this point the conductor would have refused it.
            asked.wait(1)

        self.useFixture(
            fixtures.MockPatchObject(
                self.service._conductor_client, 'start_step', slowly
            )
        )
        self.before_it_registers(begin_a_stop)
        self.cloud.wait_for(lambda: self.service.is_registered)
        registered.set()
        self.cloud.settle(self.uuid)
        self.assertEqual(
            states.STOPPED, self.cloud.instance(self.uuid).vm_state
        )

    def test_nested_step_refused(self):
        steps = self.cloud.steps
        refused = []

        def ask():
            error = self.assertRaises(
                exception.Unavailable,
                steps.send,
                get_admin_context(),
                'compute',
                'a',
                'pre_live_migration',
                'any',
            )
            refused.append(str(error))

        self.before_it_registers(ask)
        self.cloud.wait_for(lambda: self.service.is_registered)
        self.assertIn('it is starting', refused[0])


class StopTest(base.RecoveryTestCase):
    """A compute stops while no conductor answers."""

    def test_nested_step_waits_for_a_conductor(self):
        compute = self.cloud.computes['a']
        waits = clock.event()
        ask = compute._conductor_client.start_step

        def start_step(context, step):
            waits.set()
            return ask(context, step)

        self.useFixture(
            fixtures.MockPatchObject(
                compute._conductor_client, 'start_step', start_step
            )
        )
        for conductor in self.cloud.conductors.values():
            self.cloud.stop(conductor)
        asking = threading.Thread(target=self.ask)
        asking.start()
        self.assertTrue(waits.wait(10))
        stopping = threading.Thread(target=self.cloud.stop, args=[compute])
        stopping.start()
        stopping.join(20)
        self.assertFalse(stopping.is_alive())
        asking.join()
        self.assertIsInstance(self.error, exception.MinovaException)

    def ask(self):
        try:
            self.cloud.steps.send(
                get_admin_context(), 'compute', 'a', 'pre_live_migration', 'x'
            )
        except exception.MinovaException as error:
            self.error = error


class RepeatedWakeupTest(base.RecoveryTestCase):
    """A conductor crashes between its decision and the wake-ups."""

    def test_lost_wakeup(self):
        self.stop_polling()
        (conductor,) = self.cloud.conductors.values()
        died = clock.event()

        def die(context, wakes):
            died.set()

        with fixtures.MockPatchObject(
            conductor.manager, 'dispatch_wakeups', die
        ):
            uuid = self.cloud.boot(wait=False)
            self.assertTrue(died.wait(10))
        (operation,) = self.cloud.operations(uuid)
        steps = self.cloud.read(operations.list_steps, operation.id)
        # A broker redelivers a message that was not acknowledged.
        self.cloud.steps.send(
            get_admin_context(),
            'conductor',
            None,
            steps[0].method,
            steps[0].id,
        )
        self.cloud.settle(uuid)
        self.assertEqual(states.ACTIVE, self.cloud.instance(uuid).vm_state)
