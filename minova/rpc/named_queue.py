# SPDX-License-Identifier: Apache-2.0
"""One queue of the notification broker, addressed by its name.

oslo.messaging publishes to topics, which any consumer can read, and declares
queues with its own settings only. This module uses an existing queue as its
consumer has declared it. It declares a missing queue with the settings of
oslo.messaging, so that messages wait there for the first consumer. Messages go
through the default exchange of RabbitMQ, whose routing keys are names of
queues: no other queue gets them.

With a transport that is not RabbitMQ the name is a topic without a priority.
"""

from collections.abc import Callable
import contextlib
import dataclasses
from types import TracebackType
from typing import Any
from typing import Self

import oslo_messaging
from oslo_messaging._drivers import amqp as rpc_amqp
from oslo_messaging._drivers import common
from oslo_messaging._drivers import impl_rabbit

from minova import exception
from minova.conf import CONF
from minova.rpc.bus import Json

#: Seconds to wait for the confirmation of a message.
_CONFIRM = 60.0
#: The AMQP reply code for a missing queue.
_NOT_FOUND = 404


@dataclasses.dataclass(frozen=True)
class QueueStats:
    """The number of messages and consumers of a queue."""

    messages: int
    consumers: int


def inspect_queue(broker: Any, channel: Any, name: str) -> QueueStats | None:
    """Return the figures of a queue, None for a missing one.

    ``channel`` belongs to the kombu connection ``broker``.
    """
    try:
        found = channel.queue_declare(name, passive=True)
    except broker.channel_errors as error:
        # The broker closes the channel; the library has opened it again.
        if getattr(error, 'code', None) != _NOT_FOUND:
            raise
        return None
    return QueueStats(found.message_count, found.consumer_count)


class NamedQueue:
    """A connection to one queue; a context manager that closes it."""

    def __init__(self, transport: oslo_messaging.Transport, name: str) -> None:
        """Find or declare the queue; Unavailable when that is not possible."""
        self._transport = transport
        self._name = name
        self._open = contextlib.ExitStack()
        self._producer: Any = None
        if isinstance(transport._driver, impl_rabbit.RabbitDriver):
            with contextlib.ExitStack() as on_error:
                self._open = on_error
                self._translate_errors(self._connect)
                self._open = on_error.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def send(self, context: Json, body: Json) -> None:
        """Send a notification and wait for the broker's confirmation.

        Raises Unavailable without the confirmation.
        """
        self._translate_errors(lambda: self._send(context, dict(body)))

    def close(self) -> None:
        """Close the connection; the queue stays."""
        self._open.close()

    def _translate_errors(self, work: Callable[[], None]) -> None:
        try:
            work()
        except exception.Unavailable:
            raise
        except Exception as error:
            # Errors of oslo.messaging, kombu, amqp and the socket.
            raise exception.Unavailable(
                what=f'The queue {self._name} of the notification broker',
                reason=f'{type(error).__name__}: {error}',
            ) from error

    def _connect(self) -> None:
        driver = self._transport._driver
        with driver._get_connection(common.PURPOSE_SEND, retry=0) as held:
            # It has all settings: hosts, certificates, confirmations.
            settings = held.connection
            # No thread sends heartbeats while the caller reads the database.
            connection = settings.connection.clone(heartbeat=0)
        self._open.callback(connection.release)
        connection.ensure_connection(max_retries=0)
        with connection.channel() as channel:
            missing = inspect_queue(connection, channel, self._name) is None
        if missing:
            self._declare(connection, settings)
        self._producer = connection.Producer(
            connection.channel(), on_return=self._returned
        )

    def _declare(
        self, connection: Any, settings: impl_rabbit.Connection
    ) -> None:
        with connection.channel() as channel:
            channel.queue_declare(
                self._name,
                durable=settings.durable,
                auto_delete=settings.amqp_auto_delete,
                arguments=impl_rabbit._get_queue_arguments(
                    settings.rabbit_ha_queues,
                    0,
                    settings.rabbit_quorum_queue,
                    settings.rabbit_quorum_queue_config,
                    False,
                ),
            )

    def _send(self, context: Json, body: Json) -> None:
        if self._producer is None:
            target = oslo_messaging.Target(
                exchange=CONF.notifications.exchange, topic=self._name
            )
            self._transport._send_notification(
                target, context, body, version=2.0, retry=0
            )
            return
        rpc_amqp._add_unique_id(body)
        rpc_amqp.pack_context(body, context)
        self._producer.publish(
            common.serialize_msg(body),
            routing_key=self._name,
            mandatory=True,
            confirm_timeout=_CONFIRM,
        )

    def _returned(self, *reason: object) -> None:
        raise exception.Unavailable(
            what=f'The queue {self._name}',
            reason='the queue was deleted',
        )
