# SPDX-License-Identifier: Apache-2.0
"""Test cases for the functional tests of flows and of recovery."""

from minova import clock
from minova.db.queries import hosts
from minova.engine import service_liveness
from tests import base as test_base
from tests.fixtures.cloud import Cloud
from tests.fixtures.cloud import format_notifications


class FlowTestCase(test_base.TestCase):
    """A cloud of two hosts with a consumer of notifications."""

    hosts = ('a', 'b')

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(Cloud(self.hosts))

    def emitted(self, uuid, since=0):
        """Return an instance's notifications after the first ``since``."""
        return list(
            format_notifications(self.cloud.consumer.of_instance(uuid))
        )[since:]

    def count(self, uuid):
        """Return the number of notifications of an instance."""
        return len(self.cloud.consumer.of_instance(uuid))

    def booted(self, **options):
        """Return instance, host, other host and number of notifications."""
        uuid = self.cloud.boot(**options)
        host = self.cloud.instance(uuid).host
        other = 'b' if host == 'a' else 'a'
        return uuid, f'compute.{host}', f'compute.{other}', self.count(uuid)

    def resized(self, **options):
        """Return a resized instance; the rest as ``booted``."""
        uuid, source, dest, since = self.booted()
        big = self.cloud.flavor('big', id=2, memory_mb=1024, root_gb=5)
        self.cloud.resize(uuid, big, **options)
        return uuid, source, dest, since

    def assert_emitted(self, expected, uuid, since=0):
        """Compare with the documented sequence, given as indented text."""
        wanted = [line.strip() for line in expected.strip().splitlines()]
        self.assertEqual(wanted, self.emitted(uuid, since))

    def assert_ended(self, uuid, vm_state, state='done'):
        """The last operation has this state and releases the instance."""
        instance = self.cloud.instance(uuid)
        self.assertEqual(vm_state, instance.vm_state)
        self.assertIsNone(instance.task_state)
        self.assertIsNone(instance.task_id)
        last = self.cloud.operations(uuid)[-1]
        self.assertEqual((state, 0), (last.state, last.open_step_count))
        self.assertEqual([], self.cloud.open_spans(last))
        return instance


class Crash(BaseException):
    """The end of the process at this point."""


class CrashingDriver:
    """A driver whose process crashes at a call of a given method."""

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
    """Two hosts with computes that a test crashes and restarts."""

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(Cloud())

    def crash_at(self, host, method, before=True):
        """Start a compute on ``host`` that crashes at ``method``."""
        self.cloud.stop(self.cloud.computes[host])
        crashing = CrashingDriver(self.cloud.driver(host), method, before)
        service = self.cloud.compute_service(host, crashing)
        service.start()
        self.cloud.register_compute(host, service)
        self.cloud.wait_registered(host)
        return crashing

    def restart(self, host):
        """Restart the compute of a host."""
        self.cloud.stop(self.cloud.computes[host])
        self.cloud.start_compute(host)

    def stop_polling(self):
        """Keep computes and conductors from polling for due steps."""
        self.config(heartbeat_interval=60)
        self.config(group='conductor', sweep_interval=60)
        # A poll that already waits has the earlier interval.
        clock.sleep(1)

    def take_down(self, host):
        """Stop a host and wait until it counts as down.

        From now on other hosts count as down so soon too.
        """
        self.cloud.stop(self.cloud.computes[host])
        self.config(group='conductor', service_down_time=2.0)
        self.cloud.wait_for(
            lambda: service_liveness.is_silent(
                self.cloud.read(hosts.list_services, 'nova-compute', host)[
                    0
                ].heartbeat_age
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

    def crash_around(self, kind, method, *before, **params):
        """Crash the compute before and after a driver's method."""
        for early in (True, False):
            uuid = self.cloud.boot(host='a')
            for one in before:
                self.cloud.begin(one, uuid)
            crashing = self.crash_at('a', method, early)
            self.cloud.begin(kind, uuid, wait=False, **params)
            self.assertTrue(crashing.crashed.wait(10))
            self.restart('a')
            self.cloud.settle(uuid)
            yield self.cloud.instance(uuid)
