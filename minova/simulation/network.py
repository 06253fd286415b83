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
_LATE = 45.0
#: Seconds until one who asks a broker that is away is told so.
_REFUSAL = 1.0
#: Seconds after which servers are heard again when the broker is back.
_RETURN = 1.0
#: How many messages a server works on at a time.
_THREADS = 16


Judge = Callable[[str, Json], Callable[[Json | None], None]]


@dataclasses.dataclass
class _Envelope:
    """A message on its way; what it holds is JSON, as on a wire."""

    what: str
    method: str
    text: bytes
    server: str | None
    answer: Callable[[bytes], None] | None


@dataclasses.dataclass
class Told:
    """A notification that the broker has confirmed."""

    context: Json
    body: Json


class Network:
    """The broker."""

    def __init__(self, scheduler: Scheduler, points: Points) -> None:
        self.scheduler = scheduler
        self.points = points
        self.up = True
        self._outages = 0
        self._heard_from = 0.0
        #: Is shown each message before it is acted on, and then the answer.
        self.judge: Judge = lambda method, arguments: lambda answer: None
        #: All that consumers have got, in the order in which they did.
        self.told: list[Told] = []
        self._servers: dict[str, list[Server]] = {}

    def break_down(self) -> None:
        """Lose all that is on its way, and let nobody in."""
        self.up = False
        self._outages += 1
        for servers in self._servers.values():
            for server in servers:
                server.forget()

    def come_back(self) -> None:
        """Be there again; those who listened listen again a little later."""
        self.up = True
        self._heard_from = self.scheduler.now + _RETURN

    def join(self, server: 'Server') -> None:
        """Let a server be handed messages."""
        self._servers.setdefault(server.topic, []).append(server)

    def leave(self, server: 'Server') -> None:
        """Hand a server nothing more; others get what waited for it."""
        known = self._servers.get(server.topic, [])
        if server in known:
            known.remove(server)
        for envelope in server.forget():
            if envelope.server is None and self.up:
                self.deliver(server.topic, envelope)

    def leave_all(self, process: Process) -> None:
        """Hand the servers of a process that is gone nothing more."""
        for servers in list(self._servers.values()):
            for server in [one for one in servers if one.process is process]:
                self.leave(server)

    def listeners(self, topic: str, server: str | None) -> list['Server']:
        """Return who may be handed a message."""
        if self.scheduler.now < self._heard_from:
            return []
        return [
            one
            for one in self._servers.get(topic, [])
            if server in (None, one.name) and not one.process.dead
        ]

    def send(self, topic: str, envelope: _Envelope) -> None:
        """Take a message; Unavailable when it is for nobody."""
        fault = self.points.reach('send', envelope.what)
        self._require_up(topic)
        if not self.listeners(topic, envelope.server):
            raise exception.NobodyListens(
                what=topic, reason='nobody listens there'
            )
        self.post(lambda: self.deliver(topic, envelope), fault)
        self.points.reach('sent', envelope.what)
        self.scheduler.may_switch()

    def post(self, arrive: Callable[[], None], fault: str | None) -> None:
        """Let something arrive after a while, or as a fault orders."""
        if fault == 'lose':
            return
        outages = self._outages

        def unless_lost() -> None:
            if self._outages == outages:
                arrive()

        for _ in range(2 if fault == 'twice' else 1):
            seconds = (
                _LATENCY[0] + _LATENCY[1] * self.scheduler.random.random()
            )
            if fault == 'late':
                seconds += _LATE
            self.scheduler.after(seconds, unless_lost)

    def deliver(self, topic: str, envelope: _Envelope) -> None:
        """Hand a message to one of those who listen, if anybody still does."""
        found = self.listeners(topic, envelope.server)
        if not found or not self.up:
            return
        chosen = found[int(self.scheduler.random.random() * len(found))]
        chosen.take(envelope)

    def _require_up(self, what: str) -> None:
        if self.up:
            return
        self.scheduler.wait(_REFUSAL)
        if not self.up:
            raise exception.Unavailable(
                what=what, reason='the message broker cannot be reached'
            )

    def publish(self, topic: str, context: Json, body: Json) -> None:
        """Take a notification."""
        event = body['event_type']
        self.points.reach('publish', event)
        self._require_up('The notification broker')
        self.told.append(Told(context, body))
        self.points.reach('published', event)
        self.scheduler.may_switch()


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
        self._at_work = 0
        self._idle = clock.Event(network.scheduler)
        self._idle.set()

    def start(self) -> None:
        """Begin to take messages."""
        self._network.join(self)

    def stop(self) -> None:
        """Take no more, and end when what was taken is answered."""
        self._network.leave(self)
        self._idle.wait()

    def forget(self) -> list[_Envelope]:
        """Give back what was not begun."""
        waiting, self._waiting = list(self._waiting), collections.deque()
        return waiting

    def take(self, envelope: _Envelope) -> None:
        """Work on a message as soon as there is a thread for it."""
        self._waiting.append(envelope)
        if self._at_work < _THREADS:
            self._at_work += 1
            self._idle.clear()
            self._network.scheduler.spawn(
                f'{self.topic}-{self.name}', self.process, self._work
            )

    def _work(self) -> None:
        try:
            while self._waiting:
                self._answer(self._waiting.popleft())
        finally:
            self._at_work -= 1
            if not self._at_work:
                self._idle.set()

    def _answer(self, envelope: _Envelope) -> None:
        points = self._network.points
        points.reach('receive', envelope.what)
        context, arguments = orjson.loads(envelope.text)
        judge = self._network.judge(envelope.method, arguments)
        answer = self._dispatch(envelope.method, context, arguments)
        judge(answer)
        if envelope.answer is None:
            points.reach('answered', envelope.what)
            return
        fault = points.reach('send', f'answer to {envelope.what}')
        text, arrive = orjson.dumps(answer), envelope.answer
        if self._network.up:
            self._network.post(lambda: arrive(text), fault)
        points.reach('sent', f'answer to {envelope.what}')


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

        self._network.send(message.topic, _packed(message, answer))
        if not arrived.wait(message.timeout):
            raise exception.NoAnswer(
                what=_named(message),
                reason=f'no answer in {message.timeout} s',
            )
        found: Json = orjson.loads(answers[0])
        return found

    def cast(self, message: Message) -> None:
        """Send and do not wait."""
        self._network.send(message.topic, _packed(message, None))

    def serve(
        self,
        topic: str,
        server: str,
        version: str,
        methods: list[str],
        dispatch: Dispatch,
        kept: bool = False,
    ) -> Server:
        """Return a server of the messages for a topic and this server.

        Nothing is kept: the laws must hold without.
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


def _named(message: Message) -> str:
    where = f' on {message.server}' if message.server else ''
    return f'{message.topic}.{message.method}{where}'


def _packed(
    message: Message, answer: Callable[[bytes], None] | None
) -> _Envelope:
    return _Envelope(
        what=_named(message),
        method=message.method,
        text=orjson.dumps([message.context, message.arguments]),
        server=message.server,
        answer=answer,
    )
