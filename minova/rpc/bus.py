# SPDX-License-Identifier: Apache-2.0
"""The interface of the message bus, which the simulator implements too.

A bus carries one JSON message to one service. ``oslo_bus`` is the bus over
RabbitMQ.
"""

from collections.abc import Callable
from collections.abc import Collection
import dataclasses
from typing import Any
from typing import Protocol

Json = dict[str, Any]
#: Method, context, arguments -> the answer, None for a cast.
Dispatch = Callable[[str, Json, Json], Json | None]


@dataclasses.dataclass(frozen=True)
class Message:
    """A message to any server of ``topic``, or to the one named ``server``."""

    topic: str
    server: str | None
    method: str
    version: str
    arguments: Json
    context: Json
    timeout: float | None = None


class Server(Protocol):
    """A server that answers the messages of a topic."""

    def start(self) -> None:
        """Start to receive messages."""

    def stop(self) -> None:
        """Receive no more; return when every received message is answered."""


class Bus(Protocol):
    """Carries messages between services."""

    def call(self, message: Message) -> Json:
        """Send a message and return the answer.

        Raises NoConsumer; RpcTimeout without an answer in time, when the
        method may have run or not; or Unavailable when the broker is down.
        """

    def cast(self, message: Message) -> None:
        """Send a message without an answer; Unavailable when that fails."""

    def serve(
        self,
        topic: str,
        server: str,
        version: str,
        methods: list[str],
        dispatch: Dispatch,
        late_ack: bool = False,
        peer_methods: Collection[str] = (),
    ) -> Server:
        """Return a server of the messages for a topic and this server.

        With ``late_ack`` the broker redelivers a message whose server died
        before its answer to another server of the topic, or to the next
        incarnation. Every method must then be safe to run twice.

        ``peer_methods`` are those that another server of the topic may call,
        where the bus knows the sender.
        """

    def publish(
        self, exchange: str, topic: str, context: Json, body: Json
    ) -> None:
        """Publish a notification and wait for the broker's confirmation.

        Raises Unavailable without the confirmation.
        """

    def close(self) -> None:
        """Close all connections."""
