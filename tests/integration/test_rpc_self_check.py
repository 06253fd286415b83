# SPDX-License-Identifier: Apache-2.0
"""The queues of running services are deleted or unbound."""

import contextlib

import amqp
import kombu

from minova.rpc.routes import EXCHANGE
from tests import base
from tests.integration import test_cluster

#: Seconds for an action that a wake-up starts: less than the interval of the
#: heartbeats, which would start it without a wake-up.
AT_ONCE = 1.0


class RpcSelfCheckTest(test_cluster.ClusterTestCase):
    """An operator, or a failover, removes queues."""

    options = {'DEFAULT': {'heartbeat_interval': 2}}

    def setUp(self):
        super().setUp()
        self.start(conductors=1, computes=1)
        self.connection = kombu.Connection(
            self.broker_url.replace('rabbit://', 'amqp://')
        )
        self.addCleanup(self.connection.release)

    def channel(self):
        """Return a new channel: an error closes its channel."""
        return contextlib.closing(self.connection.channel())

    def unbind(self, queue):
        with self.channel() as channel:
            channel.queue_unbind(queue, EXCHANGE, routing_key=queue)

    def listeners(self, queue):
        """Return the number of consumers of a queue."""
        with self.channel() as channel:
            try:
                return channel.queue_declare(queue, passive=True)[2]
            except amqp.NotFound:
                return 0

    def reboot(self, uuid):
        """Reboot a server; return the seconds."""
        began = base.clock.monotonic()
        self.user.act(uuid, 'reboot', {'type': 'HARD'})
        self.user.wait(uuid, 'ACTIVE')
        return base.clock.monotonic() - began

    def fastest(self, uuid):
        """Return the minimum of three: the machine may be busy."""
        return min(self.reboot(uuid) for _ in range(3))

    def test_queues_taken_away(self):
        uuid = self.user.boot()
        self._delete(uuid)
        self._unbind(uuid)
        self._unbind_for_good(uuid)
        for service in self.cluster.services.values():
            self.assertEqual(0, service.terminate())

    def _delete(self, uuid):
        """The broker reports it, and the library declares the queues again."""
        queues = ('conductor', 'conductor.c0', 'compute.n0')
        with self.channel() as channel:
            for queue in queues:
                channel.queue_delete(queue)
        for queue in queues:
            self.wait_for(lambda queue=queue: self.listeners(queue), 20)
        self.assertLess(self.fastest(uuid), AT_ONCE)

    def _unbind(self, uuid):
        """The broker reports nothing; only the self-check detects it."""
        self.unbind('compute.n0')
        # Without messages the heartbeat still starts the due steps.
        self.reboot(uuid)
        self.unbind('conductor.c0')
        for name, service in (
            ('Compute n0', self.service('compute', 'n0')),
            ('Conductor c0', self.service('conductor', 'c0')),
        ):
            service.wait_for(f'{name}: self-check failed 3 times')
            service.wait_for(
                f'{name}: self-check succeeds again',
                times=service.log_text().count(f'{name}: self-check failed: '),
            )
            recreated = service.log_text().count('recreating the RPC server')
            self.assertEqual(1, recreated, name)
        self.assertLess(self.fastest(uuid), AT_ONCE)

    def _unbind_for_good(self, uuid):
        """A new RPC server does not help; a new worker does."""
        compute = self.service('compute', 'n0')

        def is_given_up():
            self.unbind('compute.n0')
            return 'This worker exits' in compute.log_text()

        self.wait_for(is_given_up)
        self.assertEqual(
            1 + 3, compute.log_text().count('recreating the RPC server')
        )
        compute.wait_for('Compute n0 is ready.', times=2)
        self.assertIn('exited with status 1', compute.log_text())
        self.assertLess(self.fastest(uuid), AT_ONCE)
