# SPDX-License-Identifier: Apache-2.0
"""Machines with clock offsets of hours in both directions."""

import datetime
import os

from minova import clock
from minova.conf import CONF
from minova.db.connections import engine
from minova.db.queries import leases
from tests import base
from tests.fixtures import servers
from tests.integration import test_cluster


class OneMachine(clock.Clock):
    """A clock with an offset of some hours."""

    def __init__(self, hours):
        self._off = datetime.timedelta(hours=hours)

    def now(self):
        return super().now() + self._off


class ClockOffsetTest(base.TestCase):
    """The services use the time of the database."""

    def setUp(self):
        super().setUp()
        self.addCleanup(clock.install, clock.install(clock.Clock()))

    def server(self, kind):
        """Return a server with a database for this test."""
        server = servers.shared(kind)
        server.url('clock_skew')
        self.addCleanup(server.drop, 'clock_skew')
        return server

    def measure(self, server):
        """Connect to a database as a process does."""
        made = engine.connect(CONF, server.url('clock_skew'))
        self.addCleanup(made.dispose)
        made.read(lambda connection: None)

    def test_time_is_the_databases(self):
        right = clock.Clock()
        for kind in (servers.MariaDB, servers.PostgreSQL):
            server = self.server(kind)
            for hours in (-5, 3):
                clock.install(OneMachine(hours))
                self.measure(server)
                off = (clock.now() - right.now()).total_seconds()
                self.assertLess(abs(off), 0.2)
        self.assertIn('18000.0 s behind', self.log.output)
        self.assertIn("10800.0 s ahead of the database's", self.log.output)

    def test_a_clock_that_is_right_is_left_alone(self):
        self.measure(self.server(servers.MariaDB))
        self.assertEqual(0, clock.offset().total_seconds())
        self.assertEqual('', self.log.output)


class ClockSkewTest(test_cluster.ClusterTestCase):
    """Conductors, API and computes with different clocks."""

    def start(self):
        for module, host, hours in (
            ('conductor', 'c0', 5),
            ('conductor', 'c1', -5),
            ('compute', 'n0', -7),
            ('compute', 'n1', -7),
        ):
            self.cluster.start(
                module, host, wait=False, environment=self.skew(hours)
            )
        api = self.cluster.start_api(environment=self.skew(-2))
        for service in self.cluster.services.values():
            service.wait_for('is ready')
        self.make_user(api.url)

    def skew(self, hours):
        """Return the environment that gives a process a clock offset."""
        fixtures = os.path.dirname(os.path.dirname(servers.__file__))
        usual = os.environ.get('PYTHONPATH', '')
        return {
            'MINOVA_TEST_SKEW': str(hours * 3600),
            'PYTHONPATH': f'{fixtures}/skewed{os.pathsep}{usual}',
        }

    def test_flows(self):
        self.start()
        user = self.user
        uuid = user.boot()
        user.resize(uuid, 'big')
        user.wait(uuid, 'VERIFY_RESIZE')
        user.act(uuid, 'confirmResize')
        user.wait(uuid, 'ACTIVE')
        user.live_migrate(uuid)
        user.wait(uuid, 'ACTIVE')
        # A retried step waits for seconds, not for hours.
        host = user.host(uuid)
        self.world.inject_fault(host, 'remove_disks')
        user.delete(uuid)
        self.settled(uuid)
        states = {
            service['state']
            for service in user.request('GET', '/os-services')['services']
        }
        self.assertEqual({'up'}, states)
        self._require_one_time(uuid)
        # One conductor sweeps and one publishes the whole time.
        said = ''.join(s.log_text() for s in self.cluster.services.values())
        self.assertIn("the service uses the database's time", said)
        self.emitted(uuid)
        self.assert_in_order(uuid)

    def _require_one_time(self, uuid):
        now = clock.now()
        for row in self.rows(uuid):
            self.assertLess(abs((now - row.created_at).total_seconds()), 300)

    def test_leases(self):
        # A process that is hours ahead does not take a held lease.
        self.addCleanup(clock.install, clock.install(clock.Clock()))
        self.assertTrue(leases.acquire(self.database, 'x', 'first', 60))
        clock.install(OneMachine(24))
        other = engine.connect(CONF, self.database_url)
        self.addCleanup(other.dispose)
        self.assertFalse(leases.acquire(other, 'x', 'second', 60))
        clock.install(OneMachine(-24))
        self.assertFalse(leases.acquire(other, 'x', 'second', 60))
        self.assertTrue(leases.acquire(other, 'x', 'first', 60))
