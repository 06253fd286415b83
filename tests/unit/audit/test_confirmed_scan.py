# SPDX-License-Identifier: Apache-2.0
"""The calls of an audit, each of which may hang."""

from minova import clock
from minova.audit import confirmed_scan
from tests import base


class CallAllTest(base.TestCase):
    """Calls in parallel, for a limited time."""

    def test_no_calls(self):
        self.assertEqual({}, confirmed_scan._call_all({}, 60))

    def test_more_calls_than_threads(self):
        calls = {str(n): lambda n=n: n * n for n in range(100)}
        self.assertEqual(
            {str(n): n * n for n in range(100)},
            confirmed_scan._call_all(calls, 60),
        )

    def test_hanging_calls(self):
        released, ended = clock.event(), clock.event()

        def hang():
            released.wait()
            ended.set()

        self.addCleanup(ended.wait, 10)
        self.addCleanup(released.set)
        found = confirmed_scan._call_all({'a': hang, 'b': lambda: 7}, 0.5)
        self.assertEqual({'b': 7}, found)

    def test_errors(self):
        def fail():
            raise ValueError('a bug')

        for seconds in (60, 0.5):
            self.assertRaises(
                ValueError,
                confirmed_scan._call_all,
                {'a': lambda: 1, 'b': fail},
                seconds,
            )
