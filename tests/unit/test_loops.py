# SPDX-License-Identifier: Apache-2.0
"""Loops survive errors; the health check notices a thread that ended."""

import queue
import threading

from minova import clock
from minova import exception
from minova import loops
from minova import periodic
from tests import base


class LoopTest(base.TestCase):
    """A loop ends by ``stop`` only."""

    def setUp(self):
        super().setUp()
        self.patch(loops, 'BACK_OFF', (0.01, 0.04))
        self.turns = queue.Queue()

    def start(self, *errors):
        """Start a loop whose first turns raise these errors."""
        pending = list(errors)

        def turn():
            clock.sleep(0.001)
            self.turns.put(clock.monotonic())
            if pending:
                raise pending.pop(0)

        loop = loops.Loop('probe', turn)
        self.addCleanup(loop.stop)
        loop.start()
        return loop

    def test_errors(self):
        loop = self.start(
            OSError('no file is free'),
            exception.Unavailable(what='The broker', reason='down'),
            ValueError('surprise'),
        )
        for _ in range(6):
            self.turns.get(timeout=10)
        self.assertFalse(loop.is_dead)
        for text in (
            'Loop probe failed; retrying in 0.01 s: no file is free',
            'Loop probe failed; retrying in 0.02 s: The broker',
            'Loop probe failed unexpectedly; retrying in 0.04 s',
            'ValueError: surprise',
        ):
            self.assertIn(text, self.log.output)

    def test_back_off(self):
        self.patch(loops, 'BACK_OFF', (0.1, 0.2))
        self.start(*(ValueError() for _ in range(3)))
        first, *_, fourth = (self.turns.get(timeout=10) for _ in range(4))
        self.assertGreater(fourth - first, 0.45)

    def test_stop_during_back_off(self):
        self.patch(loops, 'BACK_OFF', (1000, 1000))
        loop = self.start(ValueError())
        self.turns.get(timeout=10)
        loop.stop()
        self.assertFalse(loop.is_dead)

    def test_stop_wakes_a_turn(self):
        wake = threading.Event()
        loop = loops.Loop('waiting', wake.wait, wake.set)
        loop.start()
        loop.stop()
        self.assertFalse(loop.is_dead)

    def test_restart(self):
        loop = self.start()
        loop.stop()
        loop.start()
        self.assertFalse(loop.is_dead)


class HealthCheckTest(base.TestCase):
    """A thread that ended ends the process, with a message."""

    def setUp(self):
        super().setUp()
        self.patch(loops, '_CHECK_INTERVAL', 0.01)
        self.patch(loops, '_started', type(loops._started)())
        self.fatal = queue.Queue()

    def watch(self):
        check = loops.watch(self.fatal.put)
        self.addCleanup(check.stop)

    def test_dead_thread(self):
        ending = threading.Event()

        def turn():
            ending.wait()
            raise SystemExit(0)

        for loop in (
            loops.Loop('vanishing', turn),
            loops.Loop('lasting', lambda: clock.sleep(0.01)),
        ):
            self.addCleanup(loop.stop)
            loop.start()
        self.watch()
        self.assertRaises(queue.Empty, self.fatal.get, timeout=0.1)
        ending.set()
        self.assertEqual(
            'Health check: ended threads: vanishing',
            self.fatal.get(timeout=10),
        )

    def test_stuck_thread(self):
        ending = threading.Event()
        for limit in (None, 0.05):
            loop = loops.Loop(f'limit {limit}', ending.wait, ending.set, limit)
            self.addCleanup(loop.stop)
            loop.start()
        healthy = queue.Queue()
        check = loops.watch(self.fatal.put, lambda: healthy.put(None))
        self.addCleanup(check.stop)
        healthy.get(timeout=10)
        self.wait_for('Health check: stuck threads: limit 0.05\n')
        while not healthy.empty():
            healthy.get()
        clock.sleep(0.1)
        self.assertTrue(healthy.empty())
        ending.set()
        healthy.get(timeout=10)
        self.assertTrue(self.fatal.empty())

    def wait_for(self, text):
        until = clock.monotonic() + 10
        while text not in self.log.output:
            self.assertLess(clock.monotonic(), until)
            clock.sleep(0.01)

    def test_stopped_loop_is_not_dead(self):
        loop = loops.Loop('probe', lambda: clock.sleep(0.001))
        loop.start()
        loop.stop()
        self.watch()
        self.assertRaises(queue.Empty, self.fatal.get, timeout=0.1)


class PeriodicTaskTest(base.TestCase):
    """A periodic task continues after every error."""

    def setUp(self):
        super().setUp()
        self.patch(loops, 'BACK_OFF', (0.01, 0.01))
        self.calls = queue.Queue()

    def start(self, work, interval):
        task = periodic.PeriodicTask('probe', work, interval)
        self.addCleanup(task.stop)
        task.start()

    def test_interval_that_cannot_be_read(self):
        """An option may become invalid when the configuration is reloaded."""

        def interval():
            raise ValueError('an invalid option')

        self.start(lambda: self.calls.put(None), interval)
        for _ in range(3):
            self.calls.get(timeout=10)

    def test_failure_is_retried_within_a_minute(self):
        self.patch(periodic, '_RETRY_SECONDS', 0.01)

        def fail():
            self.calls.put(None)
            raise exception.Unavailable(what='The broker', reason='down')

        self.start(fail, lambda: 86400)
        for _ in range(3):
            self.calls.get(timeout=10)
