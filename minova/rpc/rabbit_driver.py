# SPDX-License-Identifier: Apache-2.0
"""The queues of RPC in RabbitMQ, declared so that accounts can be narrow.

oslo.messaging sends answers through the default exchange. An account that may
write to the default exchange may write to every queue. This driver sends
answers through the exchange of the requests, where RabbitMQ checks the routing
key against the topic permissions of the account, and names a reply queue after
its service and host (``routes``). It declares no queue or exchange that
Minova does not use: fanouts, and the shared queue of computes.
"""

from collections.abc import Callable
from typing import Any

from oslo_log import log as logging
import oslo_messaging
from oslo_messaging._drivers import amqpdriver
from oslo_messaging._drivers import base
from oslo_messaging._drivers import common
from oslo_messaging._drivers import impl_rabbit

from minova.conf import CONF
from minova.rpc import routes

LOG = logging.getLogger(__name__)


class _Consumer(impl_rabbit.Consumer):
    """A consumer whose queue is bound by each of its routing keys."""

    def __init__(self, queue: routes.Queue, **arguments: Any) -> None:
        first, *self._further_keys = queue.keys
        super().__init__(queue_name=queue.name, routing_key=first, **arguments)

    def declare(self, conn: impl_rabbit.Connection) -> None:
        """Declare and bind the queue, also after a lost connection."""
        super().declare(conn)
        for key in self._further_keys:
            self.queue.bind_to(self.exchange, routing_key=key)


class _Connection(impl_rabbit.Connection):
    """A connection that has answers on the exchange of RPC."""

    def declare_queue_consumer(
        self, queue: routes.Queue, callback: Callable[..., object]
    ) -> None:
        """Consume the requests in a queue."""
        self.declare_consumer(
            _Consumer(
                queue,
                exchange_name=routes.EXCHANGE,
                type='topic',
                durable=self.durable,
                exchange_auto_delete=False,
                queue_auto_delete=self.amqp_auto_delete,
                callback=callback,
                rabbit_ha_queues=self.rabbit_ha_queues,
                enable_cancel_on_failover=self.enable_cancel_on_failover,
                rabbit_quorum_queue=self.rabbit_quorum_queue,
                rabbit_quorum_queue_config=self.rabbit_quorum_queue_config,
            )
        )

    def declare_direct_consumer(
        self, topic: str, callback: Callable[..., object]
    ) -> None:
        """Consume the answers to this process."""
        self.declare_consumer(
            _Consumer(
                routes.Queue(topic, (topic,)),
                exchange_name=routes.EXCHANGE,
                type='topic',
                durable=self.rabbit_transient_quorum_queue,
                exchange_auto_delete=False,
                queue_auto_delete=False,
                callback=callback,
                rabbit_ha_queues=self.rabbit_ha_queues,
                rabbit_queue_ttl=self.rabbit_transient_queues_ttl,
                enable_cancel_on_failover=self.enable_cancel_on_failover,
                rabbit_quorum_queue=self.rabbit_transient_quorum_queue,
                rabbit_quorum_queue_config=self.rabbit_quorum_queue_config,
            )
        )

    def direct_send(self, msg_id: str, msg: object) -> None:
        """Send an answer; MessageUndeliverable without its queue.

        The sender of the request has named the queue, and may not use the
        permissions of this process for another one.
        """
        if not routes.is_reply_key(msg_id):
            LOG.warning(
                'Message broker: answer discarded: its queue %r is no reply '
                'queue',
                msg_id[:64],
            )
            return
        self._ensure_publishing(
            self._publish_and_raises_on_missing_exchange,
            impl_rabbit.kombu.entity.Exchange(
                routes.EXCHANGE, 'topic', passive=True
            ),
            msg,
            routing_key=msg_id,
            transport_options=oslo_messaging.TransportOptions(
                at_least_once=True
            ),
        )


class _Driver(impl_rabbit.RabbitDriver):
    """The driver of oslo.messaging with the queues of ``routes``."""

    service: str

    def _get_exchange(self, target: oslo_messaging.Target) -> str:
        return routes.EXCHANGE

    def _get_reply_queue_name(self) -> str:
        return routes.new_reply_queue(self.service, CONF.host)

    def listen(
        self,
        target: oslo_messaging.Target,
        batch_size: int,
        batch_timeout: float | None,
    ) -> base.Listener:
        """Consume the requests for a server."""
        connection = self._get_connection(common.PURPOSE_LISTEN)
        listener = amqpdriver.RpcAMQPListener(self, connection)
        for queue in routes.queues(target.topic, target.server):
            connection.declare_queue_consumer(queue, listener)
        return base.PollStyleListenerAdapter(
            listener, batch_size, batch_timeout
        )


def install(transport: oslo_messaging.Transport, service: str) -> bool:
    """Install the driver in a transport of RPC without connections.

    ``service`` is in the names of reply queues. A transport that is not
    RabbitMQ stays as it is: False.
    """
    driver = transport._driver
    if not isinstance(driver, impl_rabbit.RabbitDriver):
        return False
    driver.__class__ = _Driver
    driver.service = service
    driver._connection_pool.connection_cls = _Connection
    return True
