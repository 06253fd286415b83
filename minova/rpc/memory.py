# SPDX-License-Identifier: Apache-2.0
"""An oslo.messaging driver that stays inside the process: ``memory://``.

The transport of the all-in-one and of functional tests. A call costs two
thread switches, because the thread that sends a message also puts it into the
server's pool. Other processes cannot reach it, and it stores no message.

``memory://`` is one broker and ``memory://NAME/`` (or ``memory:///NAME``) a
separate one. Drivers of one name share their broker.

Message, context and answer are JSON between the two sides, as over a network,
so they share no mutable value.

* An RPC message waits for a listener that has not started yet. Without a
  listener a cast is dropped and a call times out; with ``at_least_once`` both
  raise MessageUndeliverable. The messages that a server has not received when
  it stops go to the other servers of its topic, or are dropped if they were
  addressed to that server. A fanout without a listener is no error.
* A notification waits for later listeners. Each (exchange, topic) and each of
  its pools keeps at most 10,000, then drops the oldest and logs the count once
  per thousand. A pool gets copies of all notifications since its first
  listener; listeners without a pool share one copy.
"""

import collections
from collections.abc import Callable
from collections.abc import Iterable
import dataclasses
import itertools
import math
import queue
import sys
import threading
from types import TracebackType
from typing import TypeAlias
import weakref

from oslo_config import cfg
from oslo_context.context import RequestContext
from oslo_log import log as logging
import oslo_messaging
from oslo_messaging._drivers import base
from oslo_messaging._drivers import common
from oslo_serialization import jsonutils

from minova import clock
from minova.rpc.bus import Json

LOG = logging.getLogger(__name__)

MAX_NOTIFICATIONS = 10_000

_Context: TypeAlias = RequestContext | Json
_ExcInfo = tuple[type[BaseException], BaseException, TracebackType]
_Seconds = float | None
_Target: TypeAlias = oslo_messaging.Target
# The replies to a caller: None is a heartbeat, else the result or the failure,
# as JSON. A SimpleQueue blocks in C, which is cheaper than a Condition.
_Replies = queue.SimpleQueue[tuple[str, str | None] | None]


@dataclasses.dataclass(slots=True)
class _Envelope:
    """A message on its way; its copies share it."""

    id: str
    text: str
    replies: _Replies | None = None
    call_monitor_timeout: _Seconds = None


def _to_json(what: str, value: object) -> str:
    """Return ``value`` as JSON, or raise ValueError."""
    try:
        return str(jsonutils.dumps(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f'{what} cannot be sent as JSON: {error}') from error


class _Incoming(base.RpcIncomingMessage):
    """A message as the receiver gets it."""

    def __init__(self, envelope: _Envelope, origin: '_Queue') -> None:
        context, message = jsonutils.loads(envelope.text)
        super().__init__(context, message, envelope.id)
        self.client_timeout = envelope.call_monitor_timeout
        self._envelope = envelope
        self._origin = origin

    def reply(
        self, reply: object = None, failure: _ExcInfo | None = None
    ) -> None:
        """Send the answer, or the ``sys.exc_info()`` of a failure."""
        replies = self._envelope.replies
        if replies is None:
            return
        try:
            if failure:
                text = common.serialize_remote_exception(failure)
                replies.put(('', text))
            else:
                what = f'The answer to {self.message.get("method")}'
                replies.put((_to_json(what, reply), None))
        except Exception:
            # The server only logs this error. Without a reply the caller
            # would wait until its timeout.
            text = common.serialize_remote_exception(sys.exc_info())
            replies.put(('', text))
            raise

    def heartbeat(self) -> None:
        """Report to the caller that its call is still running."""
        if self._envelope.replies is not None:
            self._envelope.replies.put(None)

    def requeue(self) -> None:
        """Put the message back at the front of its queue."""
        self._origin.put(self._envelope, first=True)


class _Queue:
    """One address: its listeners, served in turn, and its messages.

    A message is delivered under the queue's lock, which keeps the order and
    lets no message arrive after ``leave``. A receiver must therefore not block
    until another thread sends to this address; the servers of oslo.messaging
    only put the message into their pool.
    """

    def __init__(self, name: str, max_waiting: int) -> None:
        """Keep at most ``max_waiting`` messages without a listener."""
        self._name = name
        self._max_waiting = max_waiting
        self._lock = threading.RLock()
        self._listeners: set[_Listener] = set()
        self._ready: collections.deque[_Listener] = collections.deque()
        self._waiting: collections.deque[_Envelope] = collections.deque()
        self._dropped = 0

    def put(self, envelope: _Envelope, first: bool = False) -> bool:
        """Deliver or keep a message; False when it is dropped."""
        dropped = 0
        with self._lock:
            if not self._listeners and not self._max_waiting:
                return False
            if first:
                self._waiting.appendleft(envelope)
            else:
                self._waiting.append(envelope)
            self._drain()
            if 0 < self._max_waiting < len(self._waiting):
                self._waiting.popleft()
                self._dropped += 1
                dropped = self._dropped
        # Outside the lock: a log handler may itself send notifications.
        if dropped % 1000 == 1:
            text = 'Notifications %s: no consumer; %d dropped so far'
            LOG.warning(text, self._name, dropped)
        return True

    def join(self, listener: '_Listener') -> None:
        """Add a listener that has not started; messages wait for it."""
        with self._lock:
            self._listeners.add(listener)

    def start(self, listener: '_Listener') -> None:
        """Deliver to ``listener`` from now on, first what waits."""
        with self._lock:
            self._ready.append(listener)
            self._drain()

    def leave(self, listener: '_Listener') -> None:
        """Remove ``listener``, which may have left before."""
        with self._lock:
            self._listeners.discard(listener)
            if listener in self._ready:
                self._ready.remove(listener)
            if not self._listeners and not self._max_waiting:
                self._waiting.clear()

    def listeners(self) -> list['_Listener']:
        """Return the listeners that have joined."""
        with self._lock:
            return list(self._listeners)

    def _drain(self) -> None:
        while self._waiting and self._ready:
            listener = self._ready[0]
            self._ready.rotate(-1)
            most = listener.batch_size or len(self._waiting)
            count = min(most, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(count)]
            listener.on_incoming_callback(
                [_Incoming(envelope, self) for envelope in batch]
            )


class _Listener(base.Listener):
    """Calls the server in the thread of the sender.

    A batch holds the messages that wait already, and never waits for more.
    """

    def __init__(
        self, queues: Iterable[_Queue], batch_size: int | None
    ) -> None:
        super().__init__(batch_size, batch_timeout=None)
        self.fanout = _Queue('fanout', max_waiting=0)
        self._queues = [*queues, self.fanout]
        for each in self._queues:
            each.join(self)

    def start(self, on_incoming_callback: Callable[..., None]) -> None:
        """Receive every message, first those that wait."""
        super().start(on_incoming_callback)
        for each in self._queues:
            each.start(self)

    def stop(self) -> None:
        """Receive nothing after the return of this method."""
        self.cleanup()
        super().stop()

    def cleanup(self) -> None:
        """Leave the queues."""
        for each in self._queues:
            each.leave(self)


# By name of the broker; then by exchange, topic and size of the queues; then
# by server or pool, None for the common queue.
_Topics = dict[tuple[str, str, int], dict[str | None, _Queue]]
_brokers: dict[str, _Topics] = {}
_brokers_lock = threading.Lock()
_ids = itertools.count(1)


def reset(name: str | None = None) -> None:
    """Forget the broker of this name, or the one of ``memory://``.

    Older drivers stay connected with each other; newer ones get a new broker.
    """
    with _brokers_lock:
        _brokers.pop(name or '', None)


def _wait(
    replies: _Replies,
    call: str,
    timeout: _Seconds,
    call_monitor_timeout: _Seconds,
) -> tuple[str, str | None]:
    """Return the reply; the monitor timeout is that between heartbeats."""
    end = math.inf if timeout is None else clock.monotonic() + timeout
    while True:
        left = max(
            0, min(end - clock.monotonic(), call_monitor_timeout or math.inf)
        )
        try:
            reply = replies.get(timeout=None if left == math.inf else left)
        except queue.Empty:
            raise oslo_messaging.MessagingTimeout(
                f'No answer to {call} (timeout {timeout}, monitor '
                f'{call_monitor_timeout})'
            ) from None
        if reply is not None:
            return reply


class MemoryDriver(base.BaseDriver):
    """The driver that oslo.messaging loads for ``memory://``."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        url: oslo_messaging.TransportURL,
        default_exchange: str | None = None,
        allowed_remote_exmods: list[str] | None = None,
    ) -> None:
        super().__init__(conf, url, default_exchange, allowed_remote_exmods)
        parts = [*(host.hostname for host in url.hosts), url.virtual_host]
        name = '/'.join(filter(None, parts))
        with _brokers_lock:
            self._topics = _brokers.setdefault(name, {})
        self._listeners: weakref.WeakSet[_Listener] = weakref.WeakSet()

    def require_features(self, requeue: bool = False) -> None:
        """Accept: the driver has every feature of oslo.messaging."""

    def send(
        self,
        target: _Target,
        ctxt: _Context,
        message: Json,
        wait_for_reply: bool | None = None,
        timeout: _Seconds = None,
        call_monitor_timeout: _Seconds = None,
        retry: int | None = None,
        transport_options: oslo_messaging.TransportOptions | None = None,
    ) -> object:
        """Send an RPC message; return its answer if ``wait_for_reply``.

        Raise ValueError for a value that is not JSON, MessageUndeliverable
        without a listener if the options require one, MessagingTimeout if no
        answer, or no heartbeat, comes in time, and the error of the server.
        """
        call = f'{message.get("method")} of {target}'
        envelope = self._pack(call, ctxt, message)
        envelope.replies = _Replies() if wait_for_reply else None
        envelope.call_monitor_timeout = call_monitor_timeout
        required = transport_options and transport_options.at_least_once
        if not self._deliver(target, envelope) and required:
            raise oslo_messaging.MessageUndeliverable(
                LookupError(f'No listener for {call}'),
                target.exchange or self._default_exchange,
                '.'.join(filter(None, (target.topic, target.server))),
                envelope.text,
            )
        if envelope.replies is None:
            return None
        result, failure = _wait(
            envelope.replies, call, timeout, call_monitor_timeout
        )
        if failure is not None:
            raise common.deserialize_remote_exception(
                failure, self._allowed_remote_exmods
            )
        return jsonutils.loads(result)

    def send_notification(
        self,
        target: _Target,
        ctxt: _Context,
        message: Json,
        version: float,
        retry: int | None = None,
    ) -> None:
        """Send a notification to each pool, now or to its next listener.

        Raise ValueError for a value that is not JSON.
        """
        what = f'{message.get("event_type")} to {target}'
        envelope = self._pack(what, ctxt, message)
        queues = self._queues(target, target.topic, None, MAX_NOTIFICATIONS)
        with _brokers_lock:
            pools = list(queues.values())
        for each in pools:
            each.put(envelope)

    def listen(
        self, target: _Target, batch_size: int | None, batch_timeout: _Seconds
    ) -> base.Listener:
        """Return a listener of a topic and of one server of the topic."""
        queues = self._queues(target, target.topic, target.server)
        mine = {queues[None], queues[target.server]}
        return self._listener(mine, batch_size)

    def listen_for_notifications(
        self,
        targets_and_priorities: Iterable[tuple[_Target, str]],
        pool: str | None,
        batch_size: int | None,
        batch_timeout: _Seconds,
    ) -> base.Listener:
        """Return a listener of topics and priorities."""
        mine = set()
        for target, priority in targets_and_priorities:
            topic = f'{target.topic}.{priority}'
            queues = self._queues(target, topic, pool, MAX_NOTIFICATIONS)
            mine.add(queues[pool])
        return self._listener(mine, batch_size)

    def cleanup(self) -> None:
        """Remove the listeners of this driver from their queues."""
        for listener in list(self._listeners):
            listener.cleanup()

    def _queues(
        self,
        target: _Target,
        topic: str,
        name: str | None,
        max_waiting: int = 0,
    ) -> dict[str | None, _Queue]:
        """Return the queues of a topic; create the common one and ``name``."""
        exchange = target.exchange or self._default_exchange or ''
        with _brokers_lock:
            queues = self._topics.setdefault(
                (exchange, topic, max_waiting), {}
            )
            for each in (None, name):
                if each not in queues:
                    full_name = '.'.join(filter(None, (exchange, topic, each)))
                    queues[each] = _Queue(full_name, max_waiting)
            return queues

    def _pack(self, what: str, ctxt: _Context, message: Json) -> _Envelope:
        context = ctxt if isinstance(ctxt, dict) else ctxt.to_dict()
        text = _to_json(what, [context, message])
        return _Envelope(str(next(_ids)), text)

    def _deliver(self, target: _Target, envelope: _Envelope) -> bool:
        server = None if target.fanout else target.server
        queues = self._queues(target, target.topic, server)
        if not target.fanout:
            return queues[server].put(envelope)
        for listener in queues[None].listeners():
            listener.fanout.put(envelope)
        return True

    def _listener(
        self, queues: Iterable[_Queue], batch_size: int | None
    ) -> _Listener:
        listener = _Listener(queues, batch_size)
        self._listeners.add(listener)
        return listener
