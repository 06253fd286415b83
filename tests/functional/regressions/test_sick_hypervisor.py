# SPDX-License-Identifier: Apache-2.0
"""A hypervisor that does not answer, although its compute is up.

With the libvirtd of a host killed, new servers stayed in BUILD for minutes and
no other host was tried, the host got more of them, and a reboot that changed
nothing left a running guest in error.
"""

import time

import fixtures

from minova import clock
from minova import states
from minova.db.queries import hosts
from minova.db.queries import operations
from minova.engine import service_liveness
from minova.engine import step_lifecycle
from tests.functional import base

#: Seconds; without an answer the operations ended after their deadlines.
_SOON = 15


class SickHypervisorTestCase(base.FlowTestCase):
    """Two hosts; the hypervisor of host a stops and starts."""

    def service(self):
        (found,) = self.cloud.read(hosts.list_services, 'nova-compute', 'a')
        return found

    def stop_hypervisor(self, reported=False):
        self.cloud.world.stop_hypervisor('a')
        if reported:
            self.cloud.wait_for(lambda: self.service().hypervisor_error)

    def start_hypervisor(self):
        self.cloud.world.start_hypervisor('a')
        self.cloud.wait_for(lambda: self.service().hypervisor_error is None)

    def begin_soon(self, kind, uuid, **params):
        """Begin an operation, which ends soon."""
        before = time.monotonic()
        self.cloud.begin(kind, uuid, **params)
        self.assertLess(time.monotonic() - before, _SOON, kind)


class CreateTest(SickHypervisorTestCase):
    """A create avoids the host, and does not wait for it."""

    def test_before_the_first_report(self):
        # The scheduler does not know yet, and chooses host a.
        self.config(heartbeat_interval=600)
        self.cloud.wait_for(lambda: self.service().heartbeat_age > 1)
        self.stop_hypervisor()
        before = time.monotonic()
        uuid = self.cloud.boot()
        self.assertLess(time.monotonic() - before, _SOON)
        instance = self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual('b', instance.host)
        self.assertIn('create.error [compute.a]', self.emitted(uuid))
        self.assertEqual({('b', True): 1}, self.cloud.allocations(uuid))
        self.assertIsNone(self.cloud.world.get_disks('a', uuid))

    def test_report(self):
        self.assertTrue(service_liveness.is_enabled(self.service()))
        self.stop_hypervisor(reported=True)
        self.assertEqual(
            'AUTO: Instance (any): check_health: the connection was refused',
            service_liveness.disabled_reason(self.service()),
        )
        self.assertTrue(service_liveness.is_up(self.service()))
        self.assertFalse(self.service().disabled)
        uuid = self.cloud.boot()
        self.assert_ended(uuid, states.ACTIVE)
        self.assertNotIn('create.error [compute.a]', self.emitted(uuid))
        refused = self.cloud.boot(host='a')
        self.assert_ended(refused, states.ERROR, 'failed')
        self.assertIn(
            'a: its hypervisor cannot be used',
            self.cloud.fault(refused)['message'],
        )
        self.start_hypervisor()
        again = self.cloud.boot(host='a')
        self.assertEqual('a', self.assert_ended(again, states.ACTIVE).host)
        self.assertIn('the hypervisor answers again', self.log.output)

    def test_during_the_start_of_the_guest(self):
        """A guest that may run there is not built on another host."""
        self.cloud.world.inject_delay('a', 'start', 1, after=True)
        uuid = self.cloud.boot(host=None, wait=False)
        self.cloud.wait_for(lambda: self.cloud.world.running(uuid))
        self.stop_hypervisor(reported=True)
        time.sleep(3)
        self.assertEqual(['a'], self.cloud.world.running(uuid))
        self.start_hypervisor()
        self.cloud.settle(uuid)
        instance = self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual([instance.host], self.cloud.world.running(uuid))

    def test_cleanup_that_waits(self):
        """The removal of disks is pending until it succeeds."""
        self.config(heartbeat_interval=600)
        self.cloud.wait_for(lambda: self.service().heartbeat_age > 1)
        self.stop_hypervisor()
        self.cloud.world.inject_fault('a', 'remove_disks', 'I/O error', 2)
        uuid = self.cloud.boot(wait=False)
        self.cloud.wait_for(
            lambda: self.cloud.instance(uuid).vm_state == states.ACTIVE, _SOON
        )
        self.assertEqual('b', self.cloud.instance(uuid).host)
        self.config(heartbeat_interval=0.5)
        self.cloud.computes['a'].health.check_soon()
        self.cloud.settle(uuid)


class LifecycleTest(SickHypervisorTestCase):
    """An operation that changed nothing is rolled back at once."""

    def check(self, kind, before=(), **params):
        uuid = self.cloud.boot(host='a')
        for one in before:
            self.cloud.begin(one, uuid)
        was = self.cloud.instance(uuid)
        record = self.cloud.world.guest('a', uuid)
        self.stop_hypervisor()
        self.begin_soon(kind, uuid, **params)
        instance = self.assert_ended(uuid, was.vm_state, 'rolled_back')
        self.assertEqual(was.power_state, instance.power_state)
        self.assertEqual(record, self.cloud.world.guest('a', uuid))
        self.assertIn('was refused', self.cloud.fault(uuid)['message'])
        self.start_hypervisor()
        self.begin_soon(kind, uuid, **params)
        self.assertEqual('done', self.cloud.operations(uuid)[-1].state)

    def test_reboot_hard(self):
        self.check('reboot_hard')

    def test_reboot_soft(self):
        self.check('reboot_soft')

    def test_stop(self):
        self.check('stop')

    def test_start(self):
        self.check('start', ['stop'])

    def test_hard_reboot_of_a_stopped_server(self):
        self.check('reboot_hard', ['stop'])

    def test_pause(self):
        self.check('pause')

    def test_unpause(self):
        self.check('unpause', ['pause'])

    def test_suspend(self):
        self.check('suspend')

    def test_resume(self):
        self.check('resume', ['suspend'])

    def test_rescue(self):
        self.check('rescue')

    def test_unrescue(self):
        self.check('unrescue', ['rescue'])

    def test_migrate(self):
        self.check('migrate')

    def test_resize(self):
        big = self.cloud.flavor('big', id=2, memory_mb=1024, root_gb=5)
        self.check('resize', flavor=big)


class RevertTest(SickHypervisorTestCase):
    """A resize stays unconfirmed when its revert changed nothing."""

    def test_destination(self):
        uuid = self.cloud.boot(host='b')
        big = self.cloud.flavor('big', id=2, memory_mb=1024, root_gb=5)
        self.cloud.resize(uuid, big)
        self.stop_hypervisor()
        self.cloud.revert(uuid)
        instance = self.assert_ended(uuid, states.RESIZED, 'rolled_back')
        self.assertEqual('a', instance.host)
        self.assertEqual(['a'], self.cloud.world.running(uuid))
        self.start_hypervisor()
        self.cloud.revert(uuid)
        instance = self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual('b', instance.host)
        self.assertEqual(['b'], self.cloud.world.running(uuid))
        self.assertEqual({('b', True): 1}, self.cloud.allocations(uuid))


class InterruptedTest(SickHypervisorTestCase):
    """What has changed something goes on when the hypervisor answers."""

    def interrupt(self, kind, method, before=()):
        """Stop the hypervisor during a call; the operation then waits."""
        uuid = self.cloud.boot(host='a')
        for one in before:
            self.cloud.begin(one, uuid)
        self.cloud.world.inject_delay('a', method, 1, after=True)
        self.cloud.begin(kind, uuid, wait=False)
        time.sleep(0.8)
        self.stop_hypervisor()
        self.cloud.wait_for(
            lambda: 'is not known' in str(self.wait_reason(uuid))
        )
        self.cloud.world.clear_faults()
        return uuid

    def wait_reason(self, uuid):
        return self.cloud.operations(uuid)[-1].wait_reason

    def test_reboot_hard(self):
        uuid = self.interrupt('reboot_hard', 'power_off')
        self.cloud.settle(uuid)
        self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual(['a'], self.cloud.world.running(uuid))
        self.assertEqual(2, self.cloud.world.guest('a', uuid)['boot'])

    def test_stop(self):
        uuid = self.interrupt('stop', 'shutdown')
        self.cloud.settle(uuid)
        self.assert_ended(uuid, states.STOPPED)
        self.assertEqual([], self.cloud.world.running(uuid))

    def test_retry_does_not_wait_long(self):
        self.useFixture(
            fixtures.MockPatchObject(step_lifecycle, '_MIN_RETRY_DELAY', 1e3)
        )
        uuid = self.interrupt('pause', 'pause')
        (step,) = self.cloud.read(operations.list_open_steps_of_instance, uuid)
        delay = step.not_before - clock.now()
        self.assertLess(delay.total_seconds(), 16)

    def test_pause(self):
        uuid = self.interrupt('pause', 'pause')
        self.cloud.settle(uuid)
        self.assert_ended(uuid, states.PAUSED)

    def test_start(self):
        uuid = self.interrupt('start', 'start', ['stop'])
        self.cloud.settle(uuid)
        self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual(['a'], self.cloud.world.running(uuid))


class DeleteTest(SickHypervisorTestCase):
    """A delete does not wait; the host removes the guest later."""

    def check(self, reported):
        uuid = self.cloud.boot(host='a')
        self.stop_hypervisor(reported)
        self.cloud.delete(uuid, wait=False)
        self.cloud.wait_for(
            lambda: self.cloud.instance(uuid).vm_state == states.DELETED,
            _SOON,
        )
        self.assertEqual(['a'], self.cloud.world.running(uuid))
        self.start_hypervisor()
        self.cloud.settle(uuid)
        self.assertEqual([], self.cloud.world.running(uuid))
        self.assertIsNone(self.cloud.world.get_disks('a', uuid))

    def test_that_is_reported(self):
        self.check(reported=True)

    def test_that_is_not_reported_yet(self):
        self.check(reported=False)


class LiveMigrationTest(SickHypervisorTestCase):
    """A destination that becomes sick leaves the guest at its source."""

    def test_destination(self):
        uuid = self.cloud.boot(host='b')
        self.cloud.world.inject_delay('a', 'pre_live_migration', 1)
        self.cloud.begin('live_migrate', uuid, wait=False)
        self.cloud.wait_for(
            lambda: 'live_migration.pre.start' in str(self.emitted(uuid))
        )
        self.stop_hypervisor()
        self.cloud.wait_for(
            lambda: self.cloud.instance(uuid).task_state is None, _SOON
        )
        instance = self.cloud.instance(uuid)
        self.assertEqual(('b', states.ACTIVE),
                         (instance.host, instance.vm_state))  # fmt: skip
        self.assertEqual(['b'], self.cloud.world.running(uuid))
        self.start_hypervisor()
        self.cloud.settle(uuid)
