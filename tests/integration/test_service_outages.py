# SPDX-License-Identifier: Apache-2.0
"""Outages of database and broker under running services.

A request that cannot be accepted gets 503 at once and changes nothing. An
operation that was accepted before the outage ends with success afterwards.
"""

import threading

from testtools import content

from tests import base
from tests.fixtures import servers
from tests.fixtures.user import Refused
from tests.integration import test_cluster

#: Seconds in which each request must be answered.
PROMPTLY = 5.0


class OutageTestCase(test_cluster.ClusterTestCase):
    """Services on servers of their own."""

    durable = True
    options = {
        'oslo_messaging_rabbit': {'amqp_durable_queues': 'true'},
        'conductor': {'database_timeout': 5},
    }

    def make_database(self):
        self.server = self.useFixture(self.make_server())
        return self.make_url()

    def timed_request(self, method, path, body=None):
        """Send a request; return its status, its text and the seconds."""
        began = base.clock.monotonic()
        try:
            answer = self.user.request(method, path, body)
        except Refused as error:
            return error.status, error.body, base.clock.monotonic() - began
        return 200, answer, base.clock.monotonic() - began

    def assert_refused_promptly(self, uuid):
        """Each request gets 503, also many at once."""
        asked = [
            ('GET', '/servers', None),
            ('GET', f'/servers/{uuid}', None),
            ('POST', f'/servers/{uuid}/action', {'os-stop': None}),
            ('POST', f'/servers/{uuid}/action', {'migrate': None}),
            ('POST', '/servers', self.user.server(name='half')),
        ] * 8
        answers = []
        threads = [
            threading.Thread(
                target=lambda one=one: answers.append(self.timed_request(*one))
            )
            for one in asked
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(asked), len(answers))
        self.assertEqual({503}, {status for status, _, _ in answers})
        texts = {text for _, text, _ in answers}
        for text in texts:
            self.assertIn('The database is unavailable at this time.', text)
        slowest = max(seconds for _, _, seconds in answers)
        self.assertLess(slowest, PROMPTLY)
        self.addDetail('slowest', content.text_content(f'{slowest:.2f} s'))

    def assert_nothing_started(self, uuid):
        server = self.user.show(uuid)
        self.assertEqual('ACTIVE', server['status'])
        self.assertIsNone(server['OS-EXT-STS:task_state'])
        found = self.user.request('GET', '/servers?name=half')['servers']
        self.assertEqual([], found)
        actions = self.user.request(
            'GET', f'/servers/{uuid}/os-instance-actions'
        )
        self.assertEqual(
            ['create'], [a['action'] for a in actions['instanceActions']]
        )

    def begin_resize(self, uuid):
        """Begin a slow resize; return when it is in the slow call."""
        self.world.inject_delay(self.user.host(uuid), 'send_disks', 2.0)
        self.user.resize(uuid, 'big')
        self.wait_for(
            lambda: (
                self.user.show(uuid)['OS-EXT-STS:task_state']
                == 'resize_migrating'
            )
        )

    def end_resize(self, uuid):
        """Wait for the end of a resize and confirm it."""
        self.user.wait(uuid, 'VERIFY_RESIZE', 90)
        self.user.act(uuid, 'confirmResize')
        self.user.wait(uuid, 'ACTIVE')
        self.settled(uuid)
        actions = self.user.request(
            'GET', f'/servers/{uuid}/os-instance-actions'
        )
        self.assertEqual(
            {None}, {a['message'] for a in actions['instanceActions']}
        )

    def frozen_and_restarted(self):
        """Freeze the database, then restart it, during operations."""
        idle, busy = self.user.boot(), self.user.boot()
        self.settled(idle)
        self.begin_resize(busy)
        self.server.pause()
        self.assert_refused_promptly(idle)
        self.server.resume()
        self.wait_for(
            lambda: self.timed_request('GET', '/servers')[0] == 200, 10
        )
        self.assert_nothing_started(idle)
        self.end_resize(busy)
        self.begin_resize(idle)
        self.server.stop()
        for _ in range(3):
            status, _, seconds = self.timed_request('GET', f'/servers/{busy}')
            self.assertEqual(503, status)
            self.assertLess(seconds, PROMPTLY)
        self.server.start()
        self.end_resize(idle)
        for uuid in (idle, busy):
            self.assert_invariants(uuid)
            self.assert_in_order(uuid)


class MariaDBTest(OutageTestCase):
    """MariaDB; with outages of the broker, too."""

    mysql_driver = 'mysqldb'

    def make_server(self):
        return servers.MariaDB()

    def make_url(self):
        return self.server.url('outages', self.mysql_driver)

    def make_broker(self):
        self.broker = self.useFixture(servers.RabbitMQ())
        return self.broker.url

    def test_database_and_broker(self):
        self.start(conductors=1, computes=2)
        self.frozen_and_restarted()
        uuids = [self.user.boot(flavor='small') for _ in range(2)]
        for away, back in (
            (self.broker.pause, self.broker.resume),
            (self.broker.stop, self.broker.start),
        ):
            away()
            begun = self._begin_without_broker(uuids)
            base.clock.sleep(2)
            back()
            self.user.wait(begun, 'ACTIVE', 120)
            for uuid in uuids:
                self.end_resize(uuid)
            uuids = [begun, self.user.boot()]
        for name, service in self.cluster.services.items():
            self.assertEqual(0, service.terminate(), name)

    def _begin_without_broker(self, uuids):
        """Requests are accepted in time; migrations need a conductor."""
        for uuid in uuids:
            status, text, seconds = self.timed_request(
                'POST',
                f'/servers/{uuid}/action',
                {'resize': {'flavorRef': 'big'}},
            )
            self.assertEqual(200, status, text)
            self.assertLess(seconds, PROMPTLY)
        began = base.clock.monotonic()
        begun = self.user.create()
        self.assertLess(base.clock.monotonic() - began, PROMPTLY)
        status, _, seconds = self.timed_request('GET', '/servers')
        self.assertEqual(200, status)
        self.assertLess(seconds, PROMPTLY)
        return begun


class PostgreSQLTest(OutageTestCase):
    """PostgreSQL."""

    def make_server(self):
        return servers.PostgreSQL()

    def make_url(self):
        return self.server.url('outages')

    def test_database(self):
        self.start(conductors=1, computes=2)
        self.frozen_and_restarted()
