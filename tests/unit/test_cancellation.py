# SPDX-License-Identifier: Apache-2.0
"""Waits that end as soon as their work is cancelled."""

import threading
import time

from minova import cancellation
from minova import clock
from minova import subprocesses
from tests import base

#: Seconds within which a cancelled wait ends, on a busy machine too.
_SOON = 10
_LONG = 120


class _UnwantedError(Exception):
    """The reason of a cancellation."""


class CancellationTest(base.TestCase):
    """Each kind of wait, cancelled and not cancelled."""

    def setUp(self):
        super().setUp()
        self.signal = cancellation.Signal()

    def assert_ends(self, wait):
        """The wait raises the error soon after the signal is set."""
        timer = threading.Timer(
            0.1, self.signal.set, (_UnwantedError('stop'),)
        )
        timer.start()
        before = time.monotonic()
        with cancellation.scope(self.signal):
            self.assertRaises(_UnwantedError, wait)
        self.assertLess(time.monotonic() - before, _SOON)
        timer.join()
        # What begins later does not wait at all.
        with cancellation.scope(self.signal):
            self.assertRaises(_UnwantedError, wait)

    def test_wait(self):
        self.assert_ends(lambda: cancellation.wait(_LONG))
        cancellation.wait(0)

    def test_wait_for(self):
        event = clock.event()
        self.assert_ends(lambda: cancellation.wait_for(event, _LONG))
        self.assertFalse(cancellation.wait_for(event, 0.01))
        event.set()
        self.assertTrue(cancellation.wait_for(event, _LONG))

    def test_acquire(self):
        lock = clock.lock()

        def hold():
            with cancellation.acquire(lock):
                pass

        with lock:
            self.assert_ends(hold)
        hold()

    def test_call(self):
        ended, left_behind = clock.event(), clock.event()

        def call():
            ended.wait(_LONG)
            left_behind.set()

        self.assert_ends(lambda: cancellation.call('call', call))
        ended.set()
        self.assertTrue(left_behind.wait(_LONG))

    def test_call_returns_and_raises(self):
        with cancellation.scope(self.signal):
            self.assertEqual(3, cancellation.call('call', lambda: 3))
            self.assertRaises(
                KeyError, cancellation.call, 'call', lambda: {}['no']
            )

    def test_program(self):
        self.assert_ends(lambda: subprocesses.run('sleep', str(_LONG)))

    def test_loop(self):
        self.assert_ends(self._loop)

    def _loop(self):
        while True:
            cancellation.check()

    def test_error_of_an_ended_call(self):
        def call():
            with cancellation.on_cancel(ended.set):
                ended.wait(_LONG)
                raise ConnectionError

        ended = clock.event()
        self.assert_ends(call)

    def test_first_error_counts(self):
        self.signal.set(_UnwantedError('first'))
        self.signal.set(KeyError('second'))
        self.assertRaises(_UnwantedError, self.signal.check)

    def test_shield(self):
        self.signal.set(_UnwantedError('stop'))
        with cancellation.scope(self.signal), cancellation.scope(None):
            cancellation.check()
            cancellation.wait(0)
        self.assertFalse(cancellation.is_scoped())
