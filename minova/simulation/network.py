# SPDX-License-Identifier: Apache-2.0
"""The message bus of a simulation: a broker and the buses of processes.

It behaves as RabbitMQ does with the queues of the services. A topic has one
queue that its servers share, and one queue for each server. A message without
a consumer is refused. A delivered message is lost with its process. A queued
message of a process that ends goes to another server of the topic, or is lost
with the queue of that server.
"""

import collections
from collections.abc import Callable
from collections.abc import Collection
import dataclasses

import orjson

from minova import exception
from minova.rpc.bus import Dispatch
from minova.rpc.bus import Json
from minova.rpc.bus import Message
from minova.simulation import clock
from minova.simulation.faults import Points
from minova.simulation.scheduler import Process
from minova.simulation.scheduler import Scheduler

#: The latency of a message in seconds: the minimum and the range above it.
_LATENCY = (0.001, 0.004)
#: Seconds by which the fault 'delay' delays a message.
_EXTRA_DELAY = 45.0
#: Seconds until a connect to a broker that is down fails.
_CONNECT_TIMEOUT = 1.0
#: Seconds between the recovery of the broker and the return of the consumers.
_RECONNECT_DELAY = 1.0
#: The number of messages that a server handles concurrently.
_THREADS = 16


MessageInspector = Callable[[str, Json], Callable[[Json | None], None]]


@dataclasses.dataclass
class _Envelope:
    """A message in transit, serialized as on a wire."""

    label: str
    method: str
    text: bytes
    server: str | None
    reply_to: Callable[[bytes], None] | None


@dataclasses.dataclass
class PublishedNotification:
    """A notification that the broker has confirmed."""

    context: Json
    body: Json


class Network:
    """The broker."""

    def __init__(self, scheduler: Scheduler, points: Points) -> None:
        self.scheduler = scheduler
        self.points = points
        self.is_up = True
        self._outages = 0
        self._consumers_back_at = 0.0
        #: Called with each message before it is handled; the result is called
        #: with the answer.
        self.inspector: MessageInspector = lambda method, arguments: (
            lambda answer: None
        )
        #: The notifications that consumers received, in their order.
        self.published: list[PublishedNotification] = []
        self._servers: dict[str, list[Server]] = {}

    def fail(self) -> None:
        """Go down; every message in transit is lost."""
        self.is_up = False
        self._outages += 1
        for servers in self._servers.values():
            for server in servers:
                server.drop_waiting()

    def recover(self) -> None:
        """Come up; the consumers return a little later."""
        self.is_up = True
        self._consumers_back_at = self.scheduler.now + _RECONNECT_DELAY

    def join(self, server: 'Server') -> None:
        """Add a server as a consumer."""
        self._servers.setdefault(server.topic, []).append(server)

    def leave(self, server: 'Server') -> None:
        """Remove a server; its queued messages go to others of its topic."""
        known = self._servers.get(server.topic, [])
        if server in known:
            known.remove(server)
        for envelope in server.drop_waiting():
            if envelope.server is None and self.is_up:
                self.deliver(server.topic, envelope)

    def leave_all(self, process: Process) -> None:
        """Remove the servers of a killed process."""
        for servers in list(self._servers.values()):
            for server in [one for one in servers if one.process is process]:
                self.leave(server)

    def find_servers(self, topic: str, server: str | None) -> list['Server']:
        """Return the servers that can receive a message."""
        if self.scheduler.now < self._consumers_back_at:
            return []
        return [
            one
            for one in self._servers.get(topic, [])
            if server in (None, one.name) and not one.process.dead
        ]

    def send(self, topic: str, envelope: _Envelope) -> None:
        """Accept a message; raise NoConsumer if no server can receive it."""
        fault = self.points.reach('send', envelope.label)
        self._require_up(topic)
        if not self.find_servers(topic, envelope.server):
            raise exception.NoConsumer(
                what=topic, reason='the queue has no consumer'
            )
        self.transmit(lambda: self.deliver(topic, envelope), fault)
        self.points.reach('sent', envelope.label)
        self.scheduler.maybe_switch()

    def transmit(self, arrive: Callable[[], None], fault: str | None) -> None:
        """Call ``arrive`` after the latency, or as the fault says."""
        if fault == 'drop':
            return
        outages = self._outages

        def unless_lost() -> None:
            if self._outages == outages:
                arrive()

        for _ in range(2 if fault == 'duplicate' else 1):
            seconds = (
                _LATENCY[0] + _LATENCY[1] * self.scheduler.random.random()
            )
            if fault == 'delay':
                seconds += _EXTRA_DELAY
            self.scheduler.call_later(seconds, unless_lost)

    def deliver(self, topic: str, envelope: _Envelope) -> None:
        """Deliver a message to one of the servers, if there still is one."""
        found = self.find_servers(topic, envelope.server)
        if not found or not self.is_up:
            return
        chosen = found[int(self.scheduler.random.random() * len(found))]
        chosen.enqueue(envelope)

    def _require_up(self, what: str) -> None:
        if self.is_up:
            return
        self.scheduler.wait(_CONNECT_TIMEOUT)
        if not self.is_up:
            raise exception.Unavailable(
                what=what, reason='the message broker cannot be reached'
            )

    def publish(self, topic: str, context: Json, body: Json) -> None:
        """Accept a notification."""
        event = body['event_type']
        self.points.reach('publish', event)
        self._require_up('The notification broker')
        self.published.append(PublishedNotification(context, body))
        self.points.reach('published', event)
        self.scheduler.maybe_switch()


class Server:
    """A consumer that answers the messages of a topic."""

    def __init__(
        self,
        network: Network,
        process: Process,
        topic: str,
        name: str,
        dispatch: Dispatch,
    ) -> None:
        self.topic = topic
        self.name = name
        self.process = process
        self._network = network
        self._dispatch = dispatch
        self._waiting: collections.deque[_Envelope] = collections.deque()
        self._active = 0
        self._idle = clock.Event(network.scheduler)
        self._idle.set()

    def start(self) -> None:
        """Start to receive messages."""
        self._network.join(self)

    def stop(self) -> None:
        """Receive no more messages; wait until the received are answered."""
        self._network.leave(self)
        self._idle.wait()

    def drop_waiting(self) -> list[_Envelope]:
        """Return the queued messages and forget them."""
        waiting, self._waiting = list(self._waiting), collections.deque()
        return waiting

    def enqueue(self, envelope: _Envelope) -> None:
        """Handle a message as soon as a thread is free."""
        self._waiting.append(envelope)
        if self._active < _THREADS:
            self._active += 1
            self._idle.clear()
            self._network.scheduler.spawn(
                f'{self.topic}-{self.name}', self.process, self._work
            )

    def _work(self) -> None:
        try:
            while self._waiting:
                self._answer(self._waiting.popleft())
        finally:
            self._active -= 1
            if not self._active:
                self._idle.set()

    def _answer(self, envelope: _Envelope) -> None:
        points = self._network.points
        points.reach('receive', envelope.label)
        context, arguments = orjson.loads(envelope.text)
        check_answer = self._network.inspector(envelope.method, arguments)
        answer = self._dispatch(envelope.method, context, arguments)
        check_answer(answer)
        if envelope.reply_to is None:
            points.reach('answered', envelope.label)
            return
        fault = points.reach('send', f'answer to {envelope.label}')
        text, arrive = orjson.dumps(answer), envelope.reply_to
        if self._network.is_up:
            self._network.transmit(lambda: arrive(text), fault)
        points.reach('sent', f'answer to {envelope.label}')


class SimulatedBus:
    """The message bus of one process."""

    def __init__(self, network: Network, process: Process) -> None:
        self._network = network
        self._process = process

    def call(self, message: Message) -> Json:
        """Send a message and wait for its answer."""
        scheduler = self._network.scheduler
        answers: list[bytes] = []
        arrived = clock.Event(scheduler)

        def answer(text: bytes) -> None:
            answers.append(text)
            arrived.set()

        self._network.send(message.topic, _make_envelope(message, answer))
        if not arrived.wait(message.timeout):
            raise exception.RpcTimeout(
                what=_describe(message),
                reason=f'no answer in {message.timeout} s',
            )
        found: Json = orjson.loads(answers[0])
        return found

    def cast(self, message: Message) -> None:
        """Send a message without an answer."""
        self._network.send(message.topic, _make_envelope(message, None))

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
        """Return a server for the messages to a topic and to this server.

        Messages are not redelivered: the invariants must hold without it.
        The senders are the services; none is refused.
        """
        return Server(self._network, self._process, topic, server, dispatch)

    def publish(
        self, exchange: str, topic: str, context: Json, body: Json
    ) -> None:
        """Publish a notification."""
        # A copy, as on a wire: later changes of the values have no effect.
        self._network.publish(
            topic,
            orjson.loads(orjson.dumps(context)),
            orjson.loads(orjson.dumps(body)),
        )

    def close(self) -> None:
        """Do nothing; there is no connection."""


def _describe(message: Message) -> str:
    where = f' on {message.server}' if message.server else ''
    return f'{message.topic}.{message.method}{where}'


def _make_envelope(
    message: Message, answer: Callable[[bytes], None] | None
) -> _Envelope:
    return _Envelope(
        label=_describe(message),
        method=message.method,
        text=orjson.dumps([message.context, message.arguments]),
        server=message.server,
        reply_to=answer,
    )
