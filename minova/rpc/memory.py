# SPDX-License-Identifier: Apache-2.0
"""An oslo.messaging driver that stays inside the process: ``memory://``.

The transport of the all-in-one and of functional tests. A call costs two
thread switches, because the thread that sends a message also puts it into the
server's pool. It is no broker for other processes and keeps nothing for later.

``memory://`` is one broker, ``memory://NAME/`` (or ``memory:///NAME``) another
that knows nothing of the first. Drivers of one name share their broker.

The rule: what arrives is what would have come over a wire. Message, context
and answer are JSON between the two sides, so nothing mutable is shared.

* An RPC message waits for a server that listens and has not started yet, never
  for one that does not listen: a cast to nobody is dropped, a call to nobody
  times out, and with ``at_least_once`` both raise MessageUndeliverable. What a
  server has not taken when it stops goes to the others of its topic, or is
  dropped if it was addressed to that server. A fanout to nobody is no error.
* A notification waits for late listeners, at most 10,000 for each (exchange,
  topic) and as many for each pool of it; then the oldest is dropped, which is
  counted and logged once per thousand. A pool gets copies of what was sent
  since it was first listened for; listeners without a pool share one copy.
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
from typing import Any
from typing import TypeAlias
import weakref

from oslo_log import log as logging
import oslo_messaging
from oslo_messaging._drivers import base
from oslo_messaging._drivers import common
from oslo_serialization import jsonutils

from minova import clock

LOG = logging.getLogger(__name__)

MAX_NOTIFICATIONS = 10_000

_Json = dict[str, Any]
_Seconds = float | None
_Target: TypeAlias = oslo_messaging.Target
# What comes back to a caller: None is a heartbeat, else the result or the
# failure, as JSON. A SimpleQueue blocks in C, cheaper than a Condition.
_Replies = queue.SimpleQueue[tuple[str, str | None] | None]


@dataclasses.dataclass(slots=True)
class _Envelope:
    """A message on its way; its copies share it."""

    id: str
    text: str
    replies: _Replies | None = None
    call_monitor_timeout: _Seconds = None


def _to_json(what: str, value: object) -> str:
    """Return ``value`` as it would go over a wire, or raise ValueError."""
    try:
        return str(jsonutils.dumps(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f'{what} cannot be sent as JSON: {error}') from error


class _Incoming(base.RpcIncomingMessage):
    """A message as its receiver sees it."""

    def __init__(self, envelope: _Envelope, origin: '_Queue') -> None:
        context, message = jsonutils.loads(envelope.text)
        super().__init__(context, message, envelope.id)
        self.client_timeout = envelope.call_monitor_timeout
        self._envelope = envelope
        self._origin = origin

    def reply(self, reply: object = None, failure: Any = None) -> None:
        """Send the answer, or the ``sys.exc_info()`` there is instead."""
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
            # The server only logs this. Tell the caller as well, who else
            # would wait for nothing until its timeout.
            text = common.serialize_remote_exception(sys.exc_info())
            replies.put(('', text))
            raise

    def heartbeat(self) -> None:
        """Tell the caller that its call is still being worked on."""
        if self._envelope.replies is not None:
            self._envelope.replies.put(None)

    def requeue(self) -> None:
        """Put the message back where it came from, before all others."""
        self._origin.put(self._envelope, first=True)


class _Queue:
    """One address: who listens to it, in turn, and what waits for them.

    A message is handed over under the queue's lock. This keeps the order, and
    nothing more arrives after ``leave``. So the receiver must not block until
    another thread sends to this address; oslo.messaging's servers do not, they
    put the message into their pool.
    """

    def __init__(self, name: str, max_waiting: int) -> None:
        """Make a queue that keeps so many messages while nobody listens."""
        self._name = name
        self._max_waiting = max_waiting
        self._lock = threading.RLock()
        self._listeners: set[_Listener] = set()
        self._ready: collections.deque[_Listener] = collections.deque()
        self._waiting: collections.deque[_Envelope] = collections.deque()
        self._dropped = 0

    def put(self, envelope: _Envelope, first: bool = False) -> bool:
        """Hand over or keep a message; tell whether somebody may get it."""
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
        # Not under the lock: a log handler may itself send notifications.
        if dropped % 1000 == 1:
            text = 'Nobody takes the notifications %s: %d dropped so far'
            LOG.warning(text, self._name, dropped)
        return True

    def join(self, listener: '_Listener') -> None:
        """Let messages wait for ``listener``."""
        with self._lock:
            self._listeners.add(listener)

    def start(self, listener: '_Listener') -> None:
        """Give ``listener`` its share, beginning with what waits."""
        with self._lock:
            self._ready.append(listener)
            self._drain()

    def leave(self, listener: '_Listener') -> None:
        """Give ``listener`` nothing more; it may have left before."""
        with self._lock:
            self._listeners.discard(listener)
            if listener in self._ready:
                self._ready.remove(listener)
            if not self._listeners and not self._max_waiting:
                self._waiting.clear()

    def listeners(self) -> list['_Listener']:
        """Return who has joined."""
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
    """Calls the server back in the thread that sends.

    A batch is what waits already: waiting for more would save nothing here.
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
        """Take every message, beginning with those that wait."""
        super().start(on_incoming_callback)
        for each in self._queues:
            each.start(self)

    def stop(self) -> None:
        """Take nothing more, from the moment this returns."""
        self.cleanup()
        super().stop()

    def cleanup(self) -> None:
        """Let go of the queues."""
        for each in self._queues:
            each.leave(self)


# By name of the broker; then by exchange, topic and what a queue of it keeps;
# then by server or pool, None being the queue they have in common.
_Topics = dict[tuple[str, str, int], dict[str | None, _Queue]]
_brokers: dict[str, _Topics] = {}
_brokers_lock = threading.Lock()
_ids = itertools.count(1)


def reset(name: str | None = None) -> None:
    """Forget the broker of this name, or the one of ``memory://``.

    Drivers made before go on among themselves; those made later start anew.
    """
    with _brokers_lock:
        _brokers.pop(name or '', None)


def _wait(
    replies: _Replies,
    call: str,
    timeout: _Seconds,
    call_monitor_timeout: _Seconds,
) -> tuple[str, str | None]:
    """Return what is answered; ``silence`` is the longest between beats."""
    end = math.inf if timeout is None else clock.monotonic() + timeout
    while True:
        left = max(
            0, min(end - clock.monotonic(), call_monitor_timeout or math.inf)
        )
        try:
            reply = replies.get(timeout=None if left == math.inf else left)
        except queue.Empty:
            raise oslo_messaging.MessagingTimeout(
                f'No answer to {call} (timeout {timeout}, monitor {call_monitor_timeout})'
            ) from None
        if reply is not None:
            return reply


class MemoryDriver(base.BaseDriver):
    """What oslo.messaging loads for ``memory://``."""

    def __init__(
        self,
        conf: Any,
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
        """Accept: there is nothing in oslo.messaging that this has not."""

    def send(
        self,
        target: _Target,
        ctxt: Any,
        message: _Json,
        wait_for_reply: bool | None = None,
        timeout: _Seconds = None,
        call_monitor_timeout: _Seconds = None,
        retry: int | None = None,
        transport_options: oslo_messaging.TransportOptions | None = None,
    ) -> Any:
        """Send an RPC message; return its answer if ``wait_for_reply``.

        Raise ValueError for what cannot be sent as JSON, MessageUndeliverable
        if nobody listens and the options forbid it, MessagingTimeout if no
        answer, or no heartbeat, comes in time, and what the server raised.
        """
        call = f'{message.get("method")} of {target}'
        envelope = self._pack(call, ctxt, message)
        envelope.replies = _Replies() if wait_for_reply else None
        envelope.call_monitor_timeout = call_monitor_timeout
        required = transport_options and transport_options.at_least_once
        if not self._deliver(target, envelope) and required:
            raise oslo_messaging.MessageUndeliverable(
                LookupError(f'Nobody listens for {call}'),
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
        ctxt: Any,
        message: _Json,
        version: float,
        retry: int | None = None,
    ) -> None:
        """Give a notification to each pool, now or when it listens.

        Raise ValueError for what cannot be sent as JSON.
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
        """Return a listener to a topic and to one server of it."""
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
        """Return a listener to topics, each in some of its priorities."""
        mine = set()
        for target, priority in targets_and_priorities:
            topic = f'{target.topic}.{priority}'
            queues = self._queues(target, topic, pool, MAX_NOTIFICATIONS)
            mine.add(queues[pool])
        return self._listener(mine, batch_size)

    def cleanup(self) -> None:
        """Take the listeners of this driver out of their queues."""
        for listener in list(self._listeners):
            listener.cleanup()

    def _queues(
        self,
        target: _Target,
        topic: str,
        name: str | None,
        max_waiting: int = 0,
    ) -> dict[str | None, _Queue]:
        """Return a topic's queues; the common one, and ``name``, exist."""
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

    def _pack(self, what: str, ctxt: Any, message: _Json) -> _Envelope:
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
