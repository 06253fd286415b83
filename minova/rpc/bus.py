# SPDX-License-Identifier: Apache-2.0
"""The message bus: the seam that a simulator replaces.

A bus carries one JSON message to one service. The real one is in ``oslo.py``.
"""

from collections.abc import Callable
import dataclasses
from typing import Any
from typing import Protocol

Json = dict[str, Any]
#: Method, context, arguments -> the answer, None where none is expected.
Dispatch = Callable[[str, Json, Json], Json | None]


@dataclasses.dataclass(frozen=True)
class Message:
    """One message: to any server of ``topic``, or to ``server`` of it."""

    topic: str
    server: str | None
    method: str
    version: str
    arguments: Json
    context: Json
    timeout: float | None = None


class Server(Protocol):
    """Somebody who answers messages."""

    def start(self) -> None:
        """Begin to take messages."""

    def stop(self) -> None:
        """Take no more, and end when what was taken is answered."""


class Bus(Protocol):
    """What carries messages."""

    def call(self, message: Message) -> Json:
        """Send and wait for the answer.

        Raises NoConsumer, RpcTimeout when none came in time (it may or may
        not have been acted on), or Unavailable when the bus itself is away.
        """

    def cast(self, message: Message) -> None:
        """Send and do not wait; Unavailable when that is not possible."""

    def serve(
        self,
        topic: str,
        server: str,
        version: str,
        methods: list[str],
        dispatch: Dispatch,
        late_ack: bool = False,
    ) -> Server:
        """Return a server of the messages for a topic and this server.

        ``kept``: what a server had in hand when its process died is given to
        another one of the topic, or to its next start, where a broker can do
        that. For methods that may be asked twice.
        """

    def publish(
        self, exchange: str, topic: str, context: Json, body: Json
    ) -> None:
        """Hand a notification to the broker, and be sure that it has it.

        Raises Unavailable when it is not sure.
        """

    def close(self) -> None:
        """Let go of all connections."""
