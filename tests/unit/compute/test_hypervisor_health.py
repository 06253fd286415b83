# SPDX-License-Identifier: Apache-2.0
"""The health of a hypervisor that answers, fails, hangs and returns."""

import time
from unittest import mock

import fixtures

from minova import clock
from minova import exception
from minova.compute import hypervisor_health
from minova.compute.hypervisor_health import HypervisorHealth
from tests import base


class Hypervisor:
    """Answers, fails or hangs."""

    def __init__(self):
        self.error = None
        self.answers = clock.event()
        self.answers.set()

    def check_health(self):
        self.answers.wait()
        if self.error is not None:
            raise self.error


class HypervisorHealthTest(base.TestCase):
    """What the heartbeats report."""

    def setUp(self):
        super().setUp()
        self.config(heartbeat_interval=0.1)
        self.hypervisor = Hypervisor()
        self.on_change = mock.Mock()
        self.health = HypervisorHealth('a', self.hypervisor, self.on_change)

    def wait_for(self, true):
        until = time.monotonic() + 20
        while not true():
            self.assertLess(time.monotonic(), until)
            time.sleep(0.01)

    def test_error_and_return(self):
        self.health.check()
        self.assertIsNone(self.health.report())
        self.on_change.assert_not_called()
        self.hypervisor.error = exception.HypervisorUnavailable('gone')
        self.health.check()
        self.on_change.assert_called_once_with()
        self.assertEqual('gone', self.health.report())
        self.assertEqual('gone', self.health.report())
        self.assertEqual(
            1,
            self.log.output.count(
                'Compute a gets no servers: its hypervisor cannot be used: '
                'gone. Retrying every 0.1 s.'
            ),
        )
        self.hypervisor.error = None
        self.health.check()
        self.assertEqual(2, self.on_change.call_count)
        self.assertIsNone(self.health.report())
        self.assertIn('the hypervisor answers again', self.log.output)

    def test_long_text(self):
        self.hypervisor.error = exception.GuestFailed('x' * 1000)
        self.health.check()
        self.assertLess(len(self.health.report()), 255)

    def test_hypervisor_that_hangs(self):
        self.useFixture(
            fixtures.MockPatchObject(hypervisor_health, 'HANGS_AFTER', 0.2)
        )
        self.hypervisor.answers.clear()
        self.health.start()
        self.wait_for(self.health.report)
        self.assertIn('has not answered for', self.health.report())
        self.hypervisor.answers.set()
        self.wait_for(lambda: self.health.report() is None)
        self.health.stop()

    def test_stop_does_not_wait_for_a_hypervisor_that_hangs(self):
        self.hypervisor.answers.clear()
        self.health.start()
        self.health.check_soon()
        before = time.monotonic()
        self.health.stop()
        self.assertLess(time.monotonic() - before, 10)
        self.hypervisor.answers.set()
