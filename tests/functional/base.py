# SPDX-License-Identifier: Apache-2.0
"""Test cases for the functional tests of flows and of recovery."""

from minova import clock
from minova.compute.service import ComputeService
from minova.db.queries import hosts
from minova.engine import service_liveness
from tests import base as test_base
from tests.fixtures.cloud import Cloud
from tests.fixtures.cloud import format_notifications
from tests.fixtures.cloud import NoImages


class FlowTestCase(test_base.TestCase):
    """A cloud of two hosts and a consumer."""

    hosts = ('a', 'b')

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(Cloud(self.hosts))

    def emitted(self, uuid, since=0):
        """Return what was heard of an instance, without the first lines."""
        return list(
            format_notifications(self.cloud.consumer.of_instance(uuid))
        )[since:]

    def count(self, uuid):
        """Return how much was heard of an instance."""
        return len(self.cloud.consumer.of_instance(uuid))

    def booted(self, **options):
        """Return an instance, its host, the other one, what was heard."""
        uuid = self.cloud.boot(**options)
        host = self.cloud.instance(uuid).host
        other = 'b' if host == 'a' else 'a'
        return uuid, f'compute.{host}', f'compute.{other}', self.count(uuid)

    def assert_emitted(self, expected, uuid, since=0):
        """Compare with the documented sequence, given as indented text."""
        wanted = [line.strip() for line in expected.strip().splitlines()]
        self.assertEqual(wanted, self.emitted(uuid, since))

    def assert_ended(self, uuid, vm_state, state='done'):
        """The last operation ended so, and the instance is free."""
        instance = self.cloud.instance(uuid)
        self.assertEqual(vm_state, instance.vm_state)
        self.assertIsNone(instance.task_state)
        self.assertIsNone(instance.task_id)
        last = self.cloud.operations(uuid)[-1]
        self.assertEqual((state, 0), (last.state, last.open_step_count))
        self.assertEqual([], self.cloud.open_spans(last))
        return instance


class Crash(BaseException):
    """The process ends at this very point."""


class CrashingDriver:
    """A driver whose process dies when it comes to a given method."""

    def __init__(self, driver, method, before=True):
        self._driver = driver
        self._method = method
        self._before = before
        self.crashed = clock.event()

    def __getattr__(self, name):
        method = getattr(self._driver, name)
        if name != self._method:
            return method

        def dies(*args, **kwargs):
            if not self._before:
                method(*args, **kwargs)
            self.crashed.set()
            raise Crash(name)

        return dies


class RecoveryTestCase(test_base.TestCase):
    """Two hosts, one of which will die."""

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(Cloud())

    def crash_at(self, host, method, before=True):
        """Let the compute of ``host`` be one that dies at ``method``."""
        self.cloud.stop(self.cloud.computes[host])
        crashing = CrashingDriver(self.cloud.driver(host), method, before)
        service = ComputeService(host, self.cloud.bus, crashing, NoImages())
        service.start()
        self.cloud.register_compute(host, service)
        self.cloud.wait_registered(host)
        return crashing

    def restart(self, host):
        """Start the compute of a host anew."""
        self.cloud.stop(self.cloud.computes[host])
        self.cloud.start_compute(host)

    def stop_polling(self):
        """Let nothing be found from now on by asking what is owed."""
        self.config(heartbeat_interval=60)
        self.config(group='conductor', sweep_interval=60)
        # Whoever waits to ask goes by the interval of before.
        clock.sleep(1)

    def take_down(self, host):
        """Let a host be down, and known to be."""
        self.cloud.stop(self.cloud.computes[host])
        self.cloud.wait_for(
            lambda: service_liveness.is_silent(
                self.cloud.read(hosts.list_services, 'nova-compute', host)[
                    0
                ].heartbeat_age,
                1.0,
            )
        )

    def assert_spans_paired(self, uuid):
        """Each start is followed by exactly one end or error (invariant 5)."""
        open_ = []
        for event, _, _, _ in self.cloud.consumer.of_instance(uuid):
            name, _, phase = event.rpartition('.')
            if phase == 'start':
                open_.append(name)
            elif phase in ('end', 'error') and name in open_:
                open_.remove(name)
        self.assertEqual([], open_)

    def crash_around(self, kind, method, *before):
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
