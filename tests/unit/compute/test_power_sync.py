# SPDX-License-Identifier: Apache-2.0
"""The reconciler listens to guest events, whatever the driver raises."""

import queue

from minova import exception
from minova import loops
from minova.compute.power_sync import Reconciler
from tests import base


class Driver:
    """A driver without guests, whose ``next_event`` fails at first."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.events = queue.Queue()

    def next_event(self, timeout):
        if self.errors:
            raise self.errors.pop(0)
        try:
            return self.events.get(timeout=timeout)
        except queue.Empty:
            return None

    def guests(self):
        return []


class Conductor:
    """A conductor that counts the comparisons of a host."""

    def __init__(self):
        self.comparisons = queue.Queue()

    def instances_on_host(self, context, host):
        self.comparisons.put(host)
        return []


class ReconcilerTest(base.TestCase):
    """Events lead to a comparison also after errors."""

    def test_errors_of_the_driver(self):
        self.patch(loops, 'BACK_OFF', (0.01, 0.01))
        self.config('compute', lifecycle_event_delay=0)
        driver = Driver(
            # Its text cannot be formatted.
            exception.GuestFailed(reason='no connection'),
            ValueError('surprise'),
        )
        conductor = Conductor()
        reconciler = Reconciler('a', driver, conductor)
        self.addCleanup(reconciler.stop)
        reconciler.start()
        conductor.comparisons.get(timeout=30)
        driver.events.put('guest')
        conductor.comparisons.get(timeout=30)
        for text in (
            'Loop events-a failed; retrying in 0.01 s: GuestFailed',
            'Loop events-a failed unexpectedly',
        ):
            self.assertIn(text, self.log.output)
