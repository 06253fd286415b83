# SPDX-License-Identifier: Apache-2.0
"""The message bus of a simulation: a broker, and each process's way to it.

It does what RabbitMQ does with the queues that the services declare: a topic
has one queue that its servers share and one for each server; a message for
nobody is refused; one that was handed to a process is lost with it; one that
waits for a process that has ended goes to the others of its topic, or is lost
with the queue of that server.
"""

import collections
from collections.abc import Callable
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

#: Seconds that a message takes: at least, and how much more at most.
_LATENCY = (0.001, 0.004)
#: Seconds by which one that is late is late.
_EXTRA_DELAY = 45.0
#: Seconds until one who asks a broker that is away is told so.
_CONNECT_TIMEOUT = 1.0
#: Seconds after which servers are heard again when the broker is back.
_RECONNECT_DELAY = 1.0
#: How many messages a server works on at a time.
_THREADS = 16


MessageInspector = Callable[[str, Json], Callable[[Json | None], None]]


@dataclasses.dataclass
class _Envelope:
    """A message on its way; what it holds is JSON, as on a wire."""

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
        #: Is shown each message before it is acted on, and then the answer.
        self.inspector: MessageInspector = lambda method, arguments: (
            lambda answer: None
        )
        #: All that consumers have got, in the order in which they did.
        self.published: list[PublishedNotification] = []
        self._servers: dict[str, list[Server]] = {}

    def fail(self) -> None:
        """Lose all that is on its way, and let nobody in."""
        self.is_up = False
        self._outages += 1
        for servers in self._servers.values():
            for server in servers:
                server.drop_waiting()

    def recover(self) -> None:
        """Be there again; those who listened listen again a little later."""
        self.is_up = True
        self._consumers_back_at = self.scheduler.now + _RECONNECT_DELAY

    def join(self, server: 'Server') -> None:
        """Let a server be handed messages."""
        self._servers.setdefault(server.topic, []).append(server)

    def leave(self, server: 'Server') -> None:
        """Hand a server nothing more; others get what waited for it."""
        known = self._servers.get(server.topic, [])
        if server in known:
            known.remove(server)
        for envelope in server.drop_waiting():
            if envelope.server is None and self.is_up:
                self.deliver(server.topic, envelope)

    def leave_all(self, process: Process) -> None:
        """Hand the servers of a process that is gone nothing more."""
        for servers in list(self._servers.values()):
            for server in [one for one in servers if one.process is process]:
                self.leave(server)

    def find_servers(self, topic: str, server: str | None) -> list['Server']:
        """Return who may be handed a message."""
        if self.scheduler.now < self._consumers_back_at:
            return []
        return [
            one
            for one in self._servers.get(topic, [])
            if server in (None, one.name) and not one.process.dead
        ]

    def send(self, topic: str, envelope: _Envelope) -> None:
        """Take a message; Unavailable when it is for nobody."""
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
        """Let something arrive after a while, or as a fault orders."""
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
        """Hand a message to one of those who listen, if anybody still does."""
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
        """Take a notification."""
        event = body['event_type']
        self.points.reach('publish', event)
        self._require_up('The notification broker')
        self.published.append(PublishedNotification(context, body))
        self.points.reach('published', event)
        self.scheduler.maybe_switch()


class Server:
    """Somebody who answers the messages of a topic."""

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
        """Begin to take messages."""
        self._network.join(self)

    def stop(self) -> None:
        """Take no more, and end when what was taken is answered."""
        self._network.leave(self)
        self._idle.wait()

    def drop_waiting(self) -> list[_Envelope]:
        """Give back what was not begun."""
        waiting, self._waiting = list(self._waiting), collections.deque()
        return waiting

    def enqueue(self, envelope: _Envelope) -> None:
        """Work on a message as soon as there is a thread for it."""
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
        judge = self._network.inspector(envelope.method, arguments)
        answer = self._dispatch(envelope.method, context, arguments)
        judge(answer)
        if envelope.reply_to is None:
            points.reach('answered', envelope.label)
            return
        fault = points.reach('send', f'answer to {envelope.label}')
        text, arrive = orjson.dumps(answer), envelope.reply_to
        if self._network.is_up:
            self._network.transmit(lambda: arrive(text), fault)
        points.reach('sent', f'answer to {envelope.label}')


class SimulatedBus:
    """One process's way to the broker."""

    def __init__(self, network: Network, process: Process) -> None:
        self._network = network
        self._process = process

    def call(self, message: Message) -> Json:
        """Send and wait for the answer."""
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
        """Send and do not wait."""
        self._network.send(message.topic, _make_envelope(message, None))

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

        Nothing is kept: the invariants must hold without.
        """
        return Server(self._network, self._process, topic, server, dispatch)

    def publish(
        self, exchange: str, topic: str, context: Json, body: Json
    ) -> None:
        """Hand a notification to the broker."""
        # As on a wire: what is told does not change with what it was made of.
        self._network.publish(
            topic,
            orjson.loads(orjson.dumps(context)),
            orjson.loads(orjson.dumps(body)),
        )

    def close(self) -> None:
        """Let go; nothing is held."""


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
