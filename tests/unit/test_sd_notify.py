# SPDX-License-Identifier: Apache-2.0
"""The messages to systemd, for workers in any state."""

import os
import weakref

from minova import clock
from minova import loops
from minova import sd_notify
from minova.watchdog import Watchdog
from tests import base
from tests.fixtures.sd_socket import SdSocket


class NotifierTest(base.TestCase):
    """Two workers; the test acts for them, and takes each turn."""

    def setUp(self):
        super().setUp()
        self.patch(sd_notify, '_POLL_INTERVAL', 0)
        self.patch(sd_notify, '_START_INTERVAL', 0)
        # Threads that other tests have ended are not those of this process.
        self.patch(loops, '_started', weakref.WeakSet())
        self.watchdog = Watchdog(2)
        self.turns = 0

    def open(self, **options):
        self.systemd = self.useFixture(SdSocket(self.directory, **options))
        for name, value in self.systemd.environment.items():
            self.patch_environment(name, value)
        self.notifier = sd_notify.Notifier(self.watchdog, 2)

    def patch_environment(self, name, value):
        self.addCleanup(os.environ.pop, name, None)
        os.environ[name] = value

    def worker(self, number, pid, serving=True):
        self.watchdog._pids[number] = pid
        self.watchdog._serving[number] = serving
        self.watchdog._healthy_at[number] = clock.monotonic()

    def turn(self):
        """Return the names of the fields that one turn sends."""
        # Messages arrive in order.
        self.notifier._send('X_BEGIN=1')
        self.notifier._turn()
        self.notifier._send('X_END=1')
        self.turns += 1
        self.systemd.wait_for('X_END', times=self.turns)
        names = [
            name for *_, fields in self.systemd.messages for name in fields
        ]
        last = len(names) - names[::-1].index('X_BEGIN')
        return names[last:-1]

    def test_environment_is_hidden_from_libraries(self):
        self.open(watchdog=60)
        left = {'NOTIFY_SOCKET', 'WATCHDOG_USEC'} & set(os.environ)
        self.assertEqual(set(), left)

    def test_nothing_without_systemd(self):
        notifier = sd_notify.Notifier(self.watchdog, 2)
        notifier.start()
        notifier.reload()
        notifier.stop()
        self.assertIsNone(notifier._loop._thread)

    def test_ready_when_all_workers_serve(self):
        self.open(watchdog=60)
        self.assertEqual(['STATUS'], self.turn())
        self.worker(0, 11)
        self.worker(1, 12, serving=False)
        self.assertEqual(['STATUS', 'EXTEND_TIMEOUT_USEC'], self.turn())
        self.worker(1, 12)
        self.assertEqual(['READY', 'STATUS', 'WATCHDOG'], self.turn())
        self.assertEqual([], self.turn())

    def test_watchdog_of_another_process(self):
        self.patch_environment('WATCHDOG_PID', '1')
        self.open(watchdog=60)
        for number in range(2):
            self.worker(number, 11 + number)
        self.assertEqual(['READY', 'STATUS'], self.turn())

    def test_no_watchdog_message_without_health(self):
        self.open(watchdog=0.0001)
        for number in range(2):
            self.worker(number, 11 + number)
        self.assertIn('WATCHDOG', self.turn())
        self.assertEqual(['WATCHDOG'], self.turn())
        self.watchdog._healthy_at[1] -= loops.MAX_CHECK_AGE + 1
        self.assertEqual([], self.turn())
        self.assertIn('worker 12 has not reported', self.log.output)
        self.worker(1, 12)
        self.assertEqual(['WATCHDOG'], self.turn())
        # A loop of the master itself.
        dead = loops.Loop('gone', lambda: None)
        dead._thread = clock.spawn('gone', lambda: None)
        dead._thread.join()
        loops._started.add(dead)
        self.addCleanup(loops._started.discard, dead)
        self.assertEqual([], self.turn())

    def test_reload(self):
        self.open()
        for number in range(2):
            self.worker(number, 11 + number)
        self.assertEqual(['READY', 'STATUS'], self.turn())
        self.notifier.reload()
        # The old workers still serve.
        self.assertNotIn('READY', self.turn())
        for number in range(2):
            self.worker(number, 21 + number)
        self.assertIn('READY', self.turn())

    def test_status_of_a_worker_that_ended(self):
        self.open()
        for number in range(2):
            self.worker(number, 11 + number)
        self.turn()
        self.watchdog.forget(None, 1, 1)
        self.watchdog.mark_waiting('The broker\nis down: ' + 'x' * 500)
        self.assertEqual(['STATUS'], self.turn())
        status = self.systemd.statuses()[-1]
        self.assertIn('1 of 2 workers serve: The broker is down: x', status)
        self.assertLess(len(status), 300)

    def test_end(self):
        self.open()
        self.notifier.stop()
        # No worker is ready any more.
        self.assertEqual([], self.turn())
        self.systemd.wait_for('STOPPING')
        self.assertEqual('Stopping', self.systemd.statuses()[-1])

    def test_systemd_does_not_answer(self):
        self.patch_environment('NOTIFY_SOCKET', f'{self.directory}/none')
        notifier = sd_notify.Notifier(self.watchdog, 2)
        notifier.stop()
        self.assertIn('systemd takes no message', self.log.output)
