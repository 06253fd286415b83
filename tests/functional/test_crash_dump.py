# SPDX-License-Identifier: Apache-2.0
"""Trigger a crash dump of a server."""

import datetime

from minova import clock
from minova import exception
from minova import states
from minova.db.queries import operations
from tests.functional import base
from tests.functional.api import base as api_base


class HeldDriver:
    """A driver whose calls of one method wait until they are released."""

    def __init__(self, driver, method):
        self._driver = driver
        self._method = method
        self.released = clock.event()

    def __getattr__(self, name):
        method = getattr(self._driver, name)
        if name != self._method:
            return method

        def waits(*args, **kwargs):
            self.released.wait(60)
            return method(*args, **kwargs)

        return waits


class CrashDumpTest(base.FlowTestCase):
    """The interrupt reaches the guest once a boot, whatever owns it."""

    def interrupts(self, uuid):
        """Return the number of interrupts of the guest."""
        host = self.cloud.instance(uuid).host
        return self.cloud.world.guest(host, uuid).get('interrupts', 0)

    def replace_driver(self, driver):
        """Start the compute of the driver's host again, with the driver."""
        self.cloud.stop(self.cloud.computes[driver.host])
        service = self.cloud.compute_service(driver.host, driver)
        service.start()
        self.cloud.register_compute(driver.host, service)
        self.cloud.wait_registered(driver.host)

    def test_crash_dump(self):
        uuid, host, _, since = self.booted()
        self.cloud.begin('trigger_crash_dump', uuid)
        self.assert_emitted(
            f"""
            trigger_crash_dump.start [{host}]
            trigger_crash_dump.end [{host}]
            """,
            uuid,
            since,
        )
        self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual(1, self.interrupts(uuid))

    def test_during_another_operation(self):
        uuid, host, _, since = self.booted()
        driver = HeldDriver(self.cloud.driver(host.split('.')[1]), 'shutdown')
        self.addCleanup(driver.released.set)
        self.replace_driver(driver)
        begun = self.cloud.begin('stop', uuid, wait=False)
        self.cloud.wait_for(
            lambda: f'power_off.start [{host}]' in self.emitted(uuid, since)
        )
        dump = self.cloud.begin('trigger_crash_dump', uuid, wait=False)
        self.cloud.wait_for(lambda: self.interrupts(uuid) == 1)
        driver.released.set()
        self.cloud.settle(uuid)
        states_ = {one.id: one.state for one in self.cloud.operations(uuid)}
        self.assertEqual('done', states_[begun.operation.id])
        self.assertEqual('done', states_[dump.operation.id])
        self.assertEqual(states.STOPPED, self.cloud.instance(uuid).vm_state)

    def test_hypervisor_fails(self):
        uuid, host, _, since = self.booted()
        on = self.cloud.instance(uuid).host
        self.cloud.world.inject_fault(on, 'inject_nmi', 'no NMI')
        self.cloud.begin('trigger_crash_dump', uuid)
        self.assert_emitted(
            f"""
            trigger_crash_dump.start [{host}]
            trigger_crash_dump.error [{host}]
            """,
            uuid,
            since,
        )
        self.assert_ended(uuid, states.ACTIVE, 'rolled_back')

    def test_guest_is_off(self):
        uuid, _, _, _ = self.booted()
        on = self.cloud.instance(uuid).host
        self.cloud.driver(on).power_off(uuid)
        self.cloud.begin('trigger_crash_dump', uuid)
        last = self.cloud.operations(uuid)[-1]
        self.assertEqual('rolled_back', last.state)
        self.assertIn('does not run', last.error['kwargs']['reason'])

    def test_states(self):
        uuid, _, _, _ = self.booted()
        self.cloud.begin('stop', uuid)
        error = self.assertRaises(
            exception.InstanceInvalidState,
            self.cloud.begin,
            'trigger_crash_dump',
            uuid,
        )
        self.assertIn('in vm_state stopped', str(error))


class CrashDumpRecoveryTest(base.RecoveryTestCase):
    """A host that dies between request and interrupt, or after it."""

    def test_crash_around(self):
        for early, instance in zip(
            (True, False),
            self.crash_around('trigger_crash_dump', 'inject_nmi'),
            strict=True,
        ):
            record = self.cloud.world.guest('a', instance.uuid)
            # The repetition reaches the same boot.
            self.assertEqual(1 if early else 2, record['interrupts'])
            self.assertEqual('active', instance.vm_state)
            self.assert_spans_paired(instance.uuid)

    def test_rebooted_guest_is_not_interrupted(self):
        uuid = self.cloud.boot(host='a')
        crashing = self.crash_at('a', 'inject_nmi', before=False)
        self.cloud.begin('trigger_crash_dump', uuid, wait=False)
        self.assertTrue(crashing.crashed.wait(10))
        driver = self.cloud.driver('a')
        driver.power_off(uuid)
        driver.start(uuid)
        self.restart('a')
        self.cloud.settle(uuid)
        last = self.cloud.operations(uuid)[-1]
        self.assertEqual('rolled_back', last.state)
        self.assertIn('is not known', last.error['kwargs']['reason'])
        record = self.cloud.world.guest('a', uuid)
        self.assertEqual(1, record['interrupts'])

    def test_late_host_does_not_interrupt(self):
        uuid = self.cloud.boot(host='a')
        self.stop_polling()
        self.cloud.stop(self.cloud.computes['a'])
        begun = self.cloud.begin('trigger_crash_dump', uuid, wait=False)
        late = clock.now() - datetime.timedelta(seconds=1)
        self.cloud.database.write(
            lambda connection: operations.update(
                connection, begun.operation.id, {'deadline': late}
            )
        )
        self.cloud.start_compute('a')
        self.cloud.settle(uuid)
        last = self.cloud.operations(uuid)[-1]
        self.assertEqual('rolled_back', last.state)
        record = self.cloud.world.guest('a', uuid)
        self.assertNotIn('interrupts', record)

    def test_host_that_does_not_return(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.stop(self.cloud.computes['a'])
        begun = self.cloud.begin('trigger_crash_dump', uuid, wait=False)
        late = clock.now() - datetime.timedelta(seconds=1)
        self.cloud.database.write(
            lambda connection: operations.update(
                connection, begun.operation.id, {'deadline': late}
            )
        )
        self.config(group='conductor', service_down_time=1.0)
        self.cloud.wait_for(
            lambda: self.cloud.operations(uuid)[-1].state != 'running'
        )
        last = self.cloud.operations(uuid)[-1]
        self.assertEqual('rolled_back', last.state)
        self.assertEqual('HostLost', last.error['class'])
        self.assertEqual(states.ACTIVE, self.cloud.instance(uuid).vm_state)
        # The host does nothing when it returns after all.
        self.cloud.start_compute('a')
        self.cloud.settle(uuid)
        self.assertNotIn('interrupts', self.cloud.world.guest('a', uuid))


class CrashDumpApiTest(api_base.ApiTestCase):
    """The action of the API."""

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.uuid = self.boot()

    def test_action(self):
        reply = self.user.at_version('2.17').act(
            self.uuid, 'trigger_crash_dump'
        )
        self.assertEqual(202, reply.status, reply.body)
        self.cloud.settle(self.uuid)
        actions = self.user.get(
            f'/servers/{self.uuid}/os-instance-actions'
        ).body['instanceActions']
        self.assertEqual('trigger_crash_dump', actions[0]['action'])

    def test_version(self):
        reply = self.user.at_version('2.16').act(
            self.uuid, 'trigger_crash_dump'
        )
        self.assert_refused(404, 'before microversion 2.17', reply)

    def test_wrong_state(self):
        self.user.act(self.uuid, 'os-stop')
        self.cloud.settle(self.uuid)
        reply = self.user.at_version('2.17').act(
            self.uuid, 'trigger_crash_dump'
        )
        self.assert_refused(409, "Cannot 'trigger_crash_dump' instance", reply)

    def test_host_down(self):
        reply = self.admin.at_version('2.11').put(
            '/os-services/force-down',
            {
                'host': self.cloud.instance(self.uuid).host,
                'binary': 'nova-compute',
                'forced_down': True,
            },
        )
        self.assertEqual(200, reply.status, reply.body)
        reply = self.user.at_version('2.17').act(
            self.uuid, 'trigger_crash_dump'
        )
        self.assert_refused(409, 'its host is down', reply)
