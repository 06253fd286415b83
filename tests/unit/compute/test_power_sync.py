# SPDX-License-Identifier: Apache-2.0
"""The reconciler listens to guest events, whatever the driver raises."""

import queue

from minova import exception
from minova import loops
from minova import states
from minova.compute import power_sync
from minova.compute.power_sync import Reconciler
from minova.objects.instance import InstanceState
from minova.states import PowerState
from minova.virt.driver import Guest
from tests import base


class Driver:
    """A driver with some guests, whose ``next_event`` fails at first."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.events = queue.Queue()
        self.found = []

    def next_event(self, timeout):
        if self.errors:
            raise self.errors.pop(0)
        try:
            return self.events.get(timeout=timeout)
        except queue.Empty:
            return None

    def guests(self):
        return self.found


class Conductor:
    """A conductor that counts the comparisons of a host."""

    def __init__(self):
        self.comparisons = queue.Queue()
        self.reports = queue.Queue()
        self.rows = []

    def instances_on_host(self, context, host):
        self.comparisons.put(host)
        return self.rows

    def report_power_states(self, context, host, guests):
        self.reports.put(guests)


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

    def test_guest_that_ends_during_an_operation(self):
        """The event comes before the end of the operation."""
        self.patch(power_sync, '_RECHECK_PAUSE', 0.05)
        self.config('compute', lifecycle_event_delay=0)
        driver, conductor = Driver(), Conductor()
        driver.found = [Guest('uuid', PowerState.SHUTDOWN, None, None, 7)]
        row = InstanceState(
            uuid='uuid',
            vm_state=states.ACTIVE,
            power_state=PowerState.RUNNING,
            generation=7,
            is_busy=True,
        )
        conductor.rows = [row]
        reconciler = Reconciler('a', driver, conductor)
        self.addCleanup(reconciler.stop)
        reconciler.start()
        driver.events.put('guest')
        for _ in range(2):
            conductor.comparisons.get(timeout=30)
        self.assertTrue(conductor.reports.empty())
        # The operation ends, without another event of the guest.
        conductor.rows = [row.replace(is_busy=False)]
        (report,) = conductor.reports.get(timeout=30)
        self.assertEqual(('uuid', 7), (report.uuid, report.generation))

    def test_pause_before_the_next_comparison(self):
        self.config('compute', sync_power_state_interval=30)
        reconciler = Reconciler('a', Driver(), Conductor())
        pauses = []
        for has_difference in (False, True, True, True, True, False):
            reconciler._plan_recheck(has_difference)
            pauses.append(reconciler._interval())
        self.assertEqual([30, 5, 10, 20, 30, 30], pauses)
