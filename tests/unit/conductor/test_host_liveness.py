# SPDX-License-Identifier: Apache-2.0
"""Which silence of a host a conductor counts."""

import datetime

from minova import clock
from minova import exception
from minova.conductor.host_liveness import HostLiveness
from minova.db.queries.hosts import Service
from tests import base


class HostPinger:
    """A bus that carries a ping, or fails slowly."""

    def __init__(self, passing):
        self.passing = passing
        self.away = False

    def ping(self):
        if self.away:
            self.passing(6)
            raise exception.Unavailable(what='the bus', reason='cut')
        return 'this one'


class HostLivenessTest(base.TestCase):
    """Silence counts while the conductor receives messages."""

    def setUp(self):
        super().setUp()
        self.now = 100.0
        self.patch(clock, 'monotonic', lambda: self.now)
        self.config('conductor', service_down_time=5)
        self.bus = HostPinger(self.passing)
        self.liveness = HostLiveness('c0', 'this one', None, self.bus.ping)

    def passing(self, seconds):
        self.now += seconds

    def listen(self, seconds):
        for _ in range(seconds):
            self.liveness.check()
            self.passing(1)
        self.liveness.check()

    def down(self, silent, forced=False):
        return self.liveness.down_reason(service(silent, forced))

    def test_silent_host_is_down(self):
        self.listen(10)
        self.assertIsNone(self.down(4.0))
        self.assertIn('no heartbeat since', self.down(6.0))

    def test_forced_down(self):
        self.assertEqual('it is forced down', self.down(0.0, forced=True))

    def test_new_conductor_waits(self):
        self.assertIsNone(self.down(60.0))
        self.listen(3)
        self.assertIsNone(self.down(60.0))
        self.listen(3)
        self.assertIsNotNone(self.down(60.0))

    def test_silence_while_a_ping_waits_for_a_lost_broker(self):
        # The broker is lost, and a ping fails only seconds later: a sweep
        # in between must not take the hosts to be down.
        self.listen(10)
        self.passing(6)
        self.assertIsNone(self.down(6.5))
        self.bus.away = True
        self.liveness.check()
        self.assertIsNone(self.down(12.5))

    def test_hosts_have_time_to_come_back_with_the_broker(self):
        self.listen(10)
        self.bus.away = True
        self.liveness.check()
        self.bus.away = False
        self.listen(4)
        self.assertIsNone(self.down(11.0))
        self.listen(3)
        self.assertIsNotNone(self.down(14.0))


def service(silent, forced):
    fields = dict.fromkeys(Service.__dataclass_fields__)
    seen = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    given = {
        'heartbeat_age': silent,
        'forced_down': forced,
        'last_seen_at': seen,
    }
    return Service(**fields | given)
