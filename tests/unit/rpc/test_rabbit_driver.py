# SPDX-License-Identifier: Apache-2.0
"""The queues of RPC in RabbitMQ, without a broker."""

from unittest import mock

import oslo_messaging

from minova.conf import CONF
from minova.rpc import rabbit_driver
from minova.rpc import routes
from tests import base


class RabbitDriverTest(base.TestCase):
    """The driver and its connection."""

    def setUp(self):
        super().setUp()
        transport = oslo_messaging.get_rpc_transport(CONF, 'rabbit://a/')
        self.addCleanup(transport.cleanup)
        self.assertTrue(rabbit_driver.install(transport, 'api'))
        self.driver = transport._driver

    def send_answer(self, queue):
        """Return the exchanges and routing keys of an answer to ``queue``."""
        kind = self.driver._connection_pool.connection_cls
        connection = kind.__new__(kind)
        connection._ensure_publishing = mock.Mock()
        connection.direct_send(queue, 'text')
        return [
            (call.args[1].name, call.kwargs['routing_key'])
            for call in connection._ensure_publishing.call_args_list
        ]

    def test_reply_queue_has_service_and_host(self):
        CONF.set_override('host', 'c1')
        first = self.driver._get_reply_queue_name()
        self.assertRegex(first, r'^reply_api\.c1\.[0-9a-f-]{36}$')
        self.assertNotEqual(first, self.driver._get_reply_queue_name())

    def test_answers_go_through_the_exchange_of_rpc(self):
        queue = routes.new_reply_queue('api', 'c1')
        self.assertEqual([(routes.EXCHANGE, queue)], self.send_answer(queue))

    def test_no_answer_to_another_queue(self):
        for queue in ('compute.n1', 'conductor', 'notifications.info'):
            self.assertEqual([], self.send_answer(queue))

    def test_other_transports_stay(self):
        transport = oslo_messaging.get_rpc_transport(CONF, 'fake://')
        self.addCleanup(transport.cleanup)
        self.assertFalse(rabbit_driver.install(transport, 'api'))


class RoutesTest(base.TestCase):
    """The queues of a server."""

    def test_queues(self):
        self.assertEqual(
            (
                routes.Queue('conductor', ('conductor',)),
                routes.Queue('conductor.c1', ('conductor.c1',)),
            ),
            routes.queues('conductor', 'c1'),
        )
        (one,) = routes.queues('compute', 'n1')
        self.assertEqual('compute.n1', one.name)
        self.assertEqual(('compute.n1', 'compute_peer.n1'), one.keys)
