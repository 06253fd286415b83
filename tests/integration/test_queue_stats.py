# SPDX-License-Identifier: Apache-2.0
"""The consumers of queues, read from a real broker."""

import oslo_messaging

from minova import exception
from minova.conf import CONF
from minova.rpc import queue_stats
from minova.rpc.named_queue import QueueStats
from minova.rpc.routes import EXCHANGE
from tests import base
from tests.fixtures import servers

NAMES = ['compute.a', 'compute.z']


class QueueStatsTest(base.TestCase):
    """Statistics of RabbitMQ, over AMQP only."""

    def setUp(self):
        super().setUp()
        broker = servers.shared(servers.RabbitMQ)
        self.addCleanup(broker.delete_vhost, self.id())
        self.url = broker.vhost(self.id())
        oslo_messaging.set_transport_defaults(EXCHANGE)
        self.transport = oslo_messaging.get_rpc_transport(CONF, self.url)
        self.addCleanup(self.transport.cleanup)

    def serve(self):
        server = oslo_messaging.get_rpc_server(
            self.transport,
            oslo_messaging.Target(topic='compute', server='a'),
            [],
        )
        server.start()
        self.addCleanup(server.wait)
        self.addCleanup(server.stop)
        return server

    def test_consumed_unconsumed_and_missing(self):
        self.assertEqual(
            dict.fromkeys(NAMES), queue_stats.get_queue_stats(NAMES, self.url)
        )
        server = self.serve()
        self.assertEqual(
            {'compute.a': QueueStats(0, 1), 'compute.z': None},
            queue_stats.get_queue_stats(NAMES, self.url),
        )
        server.stop()
        server.wait()
        client = oslo_messaging.get_rpc_client(
            self.transport, oslo_messaging.Target(topic='compute', server='a')
        )
        for _ in range(3):
            client.cast({}, 'anything')
        self.assertEqual(
            QueueStats(3, 0),
            queue_stats.get_queue_stats(NAMES, self.url)['compute.a'],
        )

    def test_a_broker_that_refuses(self):
        error = self.assertRaises(
            exception.Unavailable,
            queue_stats.get_queue_stats,
            NAMES,
            self.url.replace('guest:guest', 'guest:wrong'),
        )
        self.assertIn('The message broker', str(error))

    def test_other_transports_have_no_stats(self):
        self.assertIsNone(queue_stats.get_queue_stats(NAMES, 'memory://none/'))
