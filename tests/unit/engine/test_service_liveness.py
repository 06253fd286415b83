# SPDX-License-Identifier: Apache-2.0
"""When a service is down."""

import datetime
from types import SimpleNamespace

from minova import clock
from minova.engine import service_liveness
from tests import base


def service(age, forced_down=False):
    """Return a service whose last heartbeat is ``age`` seconds old."""
    seen = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    return SimpleNamespace(
        heartbeat_age=age,
        forced_down=forced_down,
        fenced_at=None,
        last_seen_at=seen,
    )


class ServiceLivenessTest(base.TestCase):
    """The rule, as it is and as a conductor applies it."""

    def setUp(self):
        super().setUp()
        self.config('conductor', service_down_time=60)

    def test_heartbeat(self):
        self.assertTrue(service_liveness.is_up(service(60)))
        self.assertFalse(service_liveness.is_up(service(61)))
        self.assertEqual(
            'no heartbeat since 2026-01-02 03:04:05 UTC',
            service_liveness.down_reason(service(61)),
        )

    def test_forced_down(self):
        self.assertEqual(
            'it is forced down',
            service_liveness.down_reason(service(0, forced_down=True)),
        )

    def test_unobserved_silence_does_not_count(self):
        self.patch(clock, 'monotonic', lambda: 1000.0)
        for age, span, is_up in (
            (61, (0, 1000), False),
            # The observer received nothing in the last 10 seconds.
            (61, (0, 990), True),
            (71, (0, 990), False),
            # The observer is there for 50 seconds.
            (500, (950, 1000), True),
        ):
            reason = service_liveness.down_reason(service(age), span)
            self.assertEqual(is_up, reason is None, (age, span))

    def test_is_silent(self):
        self.assertTrue(service_liveness.is_silent(61))
        self.assertFalse(service_liveness.is_silent(61, down_time=70))
