# SPDX-License-Identifier: Apache-2.0
"""Reception of messages from RabbitMQ without loss.

oslo.messaging acknowledges a message on arrival, and drops messages when a
server stops. The listeners of this module correct both. A listener and its
connection to the broker belong to one thread.

A listener also discards a request whose sender the broker has not checked
(``_Origin``).
"""

from collections.abc import Collection
import dataclasses
import itertools
from typing import Final

from oslo_log import log as logging
import oslo_messaging
from oslo_messaging._drivers import amqpdriver
from oslo_messaging._drivers import base
from oslo_messaging._drivers import impl_rabbit

from minova.rpc import routes

LOG = logging.getLogger(__name__)

# Seconds without a message after which a listener wakes up to send
# acknowledgements; the interval doubles up to five seconds and starts again
# after a message. The default of one millisecond causes most of the cost of a
# message.
amqpdriver.ACK_REQUEUE_EVERY_SECONDS_MIN = 0.1

#: The libraries whose errors mean that the broker is down.
_LIBRARIES: Final = ('amqp', 'kombu', 'oslo_messaging')


def is_outage(error: Exception) -> bool:
    """Tell whether an error comes from the messaging libraries.

    kombu's OperationalError and the errors of amqp are no MessagingException.
    An error of another module, as for a value that is not JSON, is no outage.
    """
    return type(error).__module__.partition('.')[0] in _LIBRARIES


@dataclasses.dataclass(frozen=True)
class _Origin:
    """The requests that a server accepts, by the way that they came.

    RabbitMQ checks that the account of a publisher may use the exchange and
    the routing key. A message that a client has directed to a queue in another
    way was not checked for this queue: its headers CC and BCC have named more
    queues, it comes from an exchange that is not RPC's, or from a queue that
    dead-letters into RPC's exchange.
    """

    keys: frozenset[str]
    peer_methods: frozenset[str]

    def find_fault(self, message: impl_rabbit.RabbitMessage) -> str | None:
        """Return why a message must be discarded, if so."""
        raw = message._raw_message
        key = raw.delivery_info['routing_key']
        if raw.delivery_info['exchange'] != routes.EXCHANGE:
            return 'it did not come through the exchange of RPC'
        if 'x-death' in raw.headers:
            return 'it is a dead letter of another queue'
        if key not in self.keys:
            return 'its routing key is another one'
        method = message.get('method')
        if routes.is_peer_key(key) and method not in self.peer_methods:
            return f'another compute may not call {str(method)[:64]!r}'
        return None


class _DrainingListener(amqpdriver.RpcAMQPListener):
    """Cancels its consumers when it stops.

    The library stops to read but stays a consumer. It acknowledges the
    messages that still arrive and drops them when it closes the channel.
    """

    origin: _Origin
    _consumers_cancelled = False

    def __call__(self, message: impl_rabbit.RabbitMessage) -> None:
        """Receive a message; discard one from an unknown sender."""
        fault = self.origin.find_fault(message)
        if fault is None:
            self.receive(message)
            return
        LOG.warning('Message broker: request discarded: %s', fault)
        message.acknowledge()

    def receive(self, message: impl_rabbit.RabbitMessage) -> None:
        """Acknowledge a message and queue it for an answer."""
        super().__call__(message)

    def poll(
        self, *args: float | None, **kwargs: float | None
    ) -> list[amqpdriver.AMQPIncomingMessage]:
        """Return received messages; cancel the consumers after the stop."""
        if self._shutdown.is_set() and not self._consumers_cancelled:
            self._consumers_cancelled = True
            self._cancel_consumers()
        found: list[amqpdriver.AMQPIncomingMessage] = super().poll(
            *args, **kwargs
        )
        return found

    def _cancel_consumers(self) -> None:
        """Let the broker send new messages to other consumers.

        Messages that are on their way still arrive and are answered.
        """
        try:
            for consumer, tag in self.conn._consumers.items():
                consumer.cancel(tag)
        except Exception as error:
            if not is_outage(error) and not isinstance(error, OSError):
                raise
            # The broker redelivers the messages when the connection closes.
            LOG.warning('Message broker: consumers not cancelled: %s', error)


class _LateAckMessage(amqpdriver.AMQPIncomingMessage):
    """A message that is acknowledged after its answer."""

    def reply(self, reply: object = None, failure: object = None) -> None:
        """Send the answer, which a cast discards, and acknowledge."""
        try:
            super().reply(reply, failure)
        finally:
            self._message_operations_handler.do(self._acknowledge)

    def _acknowledge(self) -> None:
        if self.message._raw_message.acknowledged:
            return
        try:
            self.message.acknowledge()
        except Exception as error:
            # The connection is lost and the broker has redelivered it.
            LOG.debug(
                'Message %s: not acknowledged: %s', self.unique_id, error
            )


class _LateAckListener(_DrainingListener):
    """Acknowledges a message after its answer.

    When the process dies, or its connection is lost, the broker redelivers
    its messages. A message may therefore arrive twice, also in one process.
    """

    message_cls = _LateAckMessage
    use_cache = False

    def receive(self, message: impl_rabbit.RabbitMessage) -> None:
        """Queue a message; acknowledge a redelivered one at once.

        The message may have killed the process that received it first, and
        must not kill every process.
        """
        if message._raw_message.delivery_info['redelivered']:
            super().receive(message)
        else:
            amqpdriver.AMQPListener.__call__(self, message)

    def cleanup(self) -> None:
        """Send the last acknowledgements, then close the connection."""
        operations = self._message_operations_handler
        operations.stop()
        operations._shutdown_thread.join()
        operations.process()
        super().cleanup()


def install(
    server: oslo_messaging.MessageHandlingServer,
    target: oslo_messaging.Target,
    late_ack: bool,
    peer_methods: Collection[str],
) -> None:
    """Install a listener of this module in an oslo.messaging server.

    With ``late_ack`` a message is acknowledged after its answer. A transport
    that is not RabbitMQ stays as it is.
    """
    create = server._create_listener
    keys = (queue.keys for queue in routes.queues(target.topic, target.server))
    origin = _Origin(
        frozenset(itertools.chain.from_iterable(keys)), frozenset(peer_methods)
    )

    def create_listener() -> base.Listener:
        adapter = create()
        listener = getattr(adapter, '_poll_style_listener', None)
        if isinstance(listener, amqpdriver.RpcAMQPListener):
            listener.__class__ = (
                _LateAckListener if late_ack else _DrainingListener
            )
            listener.origin = origin
        return adapter

    server._create_listener = create_listener
