# SPDX-License-Identifier: Apache-2.0
"""How a server takes its messages from RabbitMQ, so that none is lost.

oslo.messaging acknowledges a message when it has come, and drops some when a
server stops. What is below mends both in its listener, which runs in one
thread; the connection to the broker is that thread's alone.
"""

from typing import Any
from typing import Final

from oslo_log import log as logging
from oslo_messaging._drivers import amqpdriver

LOG = logging.getLogger(__name__)

# Who listens to RabbitMQ looks up after so many seconds without a message,
# then after twice as many, up to five, to send acknowledgements; after the
# next message all this begins again. With oslo.messaging's one millisecond
# that is most of what a message costs.
amqpdriver.ACK_REQUEUE_EVERY_SECONDS_MIN = 0.1

#: Whose errors mean that the bus is away.
_LIBRARIES: Final = ('amqp', 'kombu', 'oslo_messaging')


def is_outage(error: Exception) -> bool:
    """Tell whether an error is the broker's and not one of ours.

    The libraries below let errors of their own through: kombu's
    OperationalError and amqp's are no MessagingException. One of ours, as for
    a value that JSON cannot carry, is nobody's outage.
    """
    return type(error).__module__.partition('.')[0] in _LIBRARIES


class _DrainingListener(amqpdriver.RpcAMQPListener):
    """Leaves its queues when it stops.

    The library stops to read and stays a consumer. What the broker goes on to
    send it acknowledges while it closes the channel, and drops it.
    """

    _consumers_cancelled = False

    def poll(self, *args: Any, **kwargs: Any) -> Any:
        """Return what has come; once it is to stop, have nothing come."""
        if self._shutdown.is_set() and not self._consumers_cancelled:
            self._consumers_cancelled = True
            self._cancel_consumers()
        return super().poll(*args, **kwargs)

    def _cancel_consumers(self) -> None:
        """Have the broker give what comes from now on to others, at once.

        What was on its way is taken meanwhile, and answered.
        """
        try:
            for consumer, tag in self.conn._consumers.items():
                consumer.cancel(tag)
        except Exception as error:
            if not is_outage(error) and not isinstance(error, OSError):
                raise
            # What was on its way goes to others with the connection.
            LOG.warning('The message broker is away: %s', error)


class _LateAckMessage(amqpdriver.AMQPIncomingMessage):
    """A message that the broker keeps until it is answered."""

    def reply(self, reply: Any = None, failure: Any = None) -> None:
        """Answer, also where nobody waits; then the broker forgets it."""
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
            # Its connection is lost, and others have it now.
            LOG.debug('Message %s is kept: %s', self.unique_id, error)


class _LateAckListener(_DrainingListener):
    """Leaves every message with the broker until it is answered.

    When this process dies, or is not heard by the broker for a while, another
    one gets what it had in hand. So a message may come twice, also to one
    process whose connection was lost.
    """

    message_cls = _LateAckMessage
    use_cache = False

    def __call__(self, message: Any) -> None:
        """Take a message, without an acknowledgement if it is the first time.

        Whoever had taken it before has died: if of the message, then not all
        are to die of it.
        """
        if message._raw_message.delivery_info['redelivered']:
            super().__call__(message)
        else:
            amqpdriver.AMQPListener.__call__(self, message)

    def cleanup(self) -> None:
        """Send the last acknowledgements, then let go of the connection."""
        operations = self._message_operations_handler
        operations.stop()
        operations._shutdown_thread.join()
        operations.process()
        super().cleanup()


def install_late_ack(server: Any, late_ack: bool) -> None:
    """Let a server of oslo.messaging take its messages as said above.

    ``kept``: nothing is acknowledged before it is answered. Over a transport
    that is not RabbitMQ nothing changes.
    """
    create = server._create_listener

    def mended() -> Any:
        adapter = create()
        listener = getattr(adapter, '_poll_style_listener', None)
        if isinstance(listener, amqpdriver.RpcAMQPListener):
            listener.__class__ = (
                _LateAckListener if late_ack else _DrainingListener
            )
        return adapter

    server._create_listener = mended
