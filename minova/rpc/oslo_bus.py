# SPDX-License-Identifier: Apache-2.0
"""The message bus over oslo.messaging: rabbit://, memory:// and fake://.

What goes wrong on the way is always an Unavailable that says what; how an
answer tells an error is the contract's business, not the bus's. Messages are
sent so that a missing queue is an error at once, and never queued for a
service that is not there when the broker can tell.
"""

from collections.abc import Callable
from typing import Any
from typing import cast

from oslo_log import log as logging
import oslo_messaging

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.rpc.bus import Dispatch
from minova.rpc.bus import Json
from minova.rpc.bus import Message
from minova.rpc.named_queue import NamedQueue
from minova.rpc.rabbit_listener import install_late_ack
from minova.rpc.rabbit_listener import is_outage

LOG = logging.getLogger(__name__)

#: The exchange of our RPC; notifications go to another (conf/notifications).
EXCHANGE = 'minova'

#: Seconds that a service which ends waits for answers, and between two looks
#: at who still does.
_ABORT_DELAY = 5.0
_POLL_INTERVAL = 0.2

#: Transports that lead nowhere else.
_LOCAL = ('memory', 'fake')

#: How a service of an older release says that it does not know a method.
_UNKNOWN_METHOD = ('NoSuchMethod', 'UnsupportedVersion')


class OsloServer:
    """An oslo.messaging RPC server under the bus's verbs."""

    def __init__(self, server: Any, brokers: str) -> None:
        self._server = server
        self._brokers = brokers

    def start(self) -> None:
        """Declare the queues and begin to take messages.

        Waits for a broker that is away; Unavailable when it is there and
        refuses.
        """
        LOG.info('Connecting to the message broker %s.', self._brokers)
        try:
            self._server.start()
        except Exception as error:
            if not is_outage(error):
                raise
            raise exception.Unavailable(
                what='The message broker',
                reason=f'{self._brokers}: {type(error).__name__}: {error}',
            ) from error

    def stop(self) -> None:
        """Take no more; return when what was taken is answered."""
        self._server.stop()
        self._server.wait()


class OsloBus:
    """One process's connections to its broker."""

    def __init__(self, url: str | None = None, threads: int = 16) -> None:
        """Read ``transport_url`` of the configuration, or take ``url``.

        ``threads`` is how many messages each server works on at a time, if
        ``executor_thread_pool_size`` is not configured. Does not connect yet.
        Raises ConfigInvalid for a URL that no driver takes.
        """
        self._threads = threads
        self._closed = clock.event()
        self._calls_aborted = False
        oslo_messaging.set_transport_defaults(EXCHANGE)
        try:
            self._transport = oslo_messaging.get_rpc_transport(CONF, url)
            self._notifications = oslo_messaging.get_notification_transport(
                CONF, url
            )
            parsed = oslo_messaging.TransportURL.parse(CONF, url)
        except (
            oslo_messaging.DriverLoadFailure,
            oslo_messaging.InvalidTransportURL,
            ValueError,  # a port that is no number
        ) as error:
            raise exception.ConfigInvalid(
                reason=f'transport_url is not usable: {error}'
            ) from error
        self._brokers = _describe_brokers(parsed)
        self._client = oslo_messaging.get_rpc_client(
            self._transport,
            oslo_messaging.Target(),
            retry=CONF.rpc_retry,
            transport_options=oslo_messaging.TransportOptions(
                at_least_once=True
            ),
        )

    @classmethod
    def check(cls) -> None:
        """Raise ConfigInvalid for a transport that cannot be used."""
        cls().close()

    def call(self, message: Message) -> Json:
        """Send and wait for the answer."""
        answer = None
        if not self._calls_aborted:
            context = self._prepare(message)
            answer = _translate_errors(
                message,
                lambda: context.call(
                    message.context, message.method, **message.arguments
                ),
            )
        if answer is None:
            raise exception.Unavailable(
                what=message.topic,
                reason=f'no answer to {message.method} before this service '
                'ended',
            )
        return cast(Json, answer)

    def cast(self, message: Message) -> None:
        """Send and do not wait."""
        context = self._prepare(message)
        _translate_errors(
            message,
            lambda: context.cast(
                message.context, message.method, **message.arguments
            ),
        )

    def _prepare(self, message: Message) -> Any:
        address = {'topic': message.topic, 'version': message.version}
        if message.server is not None:
            address['server'] = message.server
        return self._client.prepare(timeout=message.timeout, **address)

    def serve(
        self,
        topic: str,
        server: str,
        version: str,
        methods: list[str],
        dispatch: Dispatch,
        late_ack: bool = False,
    ) -> OsloServer:
        """Return a server of the messages for a topic and this server."""
        target = oslo_messaging.Target(
            topic=topic, server=server, version=version
        )
        made = oslo_messaging.get_rpc_server(
            self._transport,
            target,
            [_endpoint(target, methods, dispatch)],
            access_policy=oslo_messaging.DefaultRPCAccessPolicy,
        )
        install_late_ack(made, late_ack)
        # oslo's own default makes 64 threads before it uses one twice.
        CONF.set_default('executor_thread_pool_size', self._threads)
        return OsloServer(made, self._brokers)

    def publish(
        self, exchange: str, topic: str, context: Json, body: Json
    ) -> None:
        """Hand a notification to the broker, and be sure that it has it."""
        # The public Notifier swallows every error; this is what its own
        # messagingv2 driver calls, and it raises.
        target = oslo_messaging.Target(exchange=exchange, topic=topic)
        try:
            self._notifications._send_notification(
                target, context, body, version=2.0, retry=0
            )
        except Exception as error:
            raise exception.Unavailable(
                what='The notification broker',
                reason=f'{type(error).__name__}: {error}',
            ) from error

    @property
    def is_local(self) -> bool:
        """Whether what is published stays inside this process."""
        return self._notifications._driver._url.transport in _LOCAL

    def named_queue(self, name: str) -> NamedQueue:
        """Return the queue of that name on the notifications' broker.

        To be closed; Unavailable when the broker is away.
        """
        return NamedQueue(self._notifications, name)

    def abort_calls_soon(self) -> None:
        """Let nobody wait for an answer when the service is about to end.

        Who waits in a few seconds' time, or asks then, gets Unavailable: the
        other side may have ended too, and a timeout would be waited for.
        """
        clock.spawn('hang-up', self._abort_calls)

    def _abort_calls(self) -> None:
        self._closed.wait(_ABORT_DELAY)
        self._calls_aborted = True
        while not self._closed.wait(_POLL_INTERVAL):
            # The library knows no way to give up a call.
            waiter = getattr(self._transport._driver, '_waiter', None)
            if waiter is None:
                continue
            for number in list(waiter.waiters._queues):
                waiter.waiters.put(
                    number, {'result': None, 'failure': None, 'ending': True}
                )

    def close(self) -> None:
        """Let go of all connections."""
        self._closed.set()
        self._transport.cleanup()
        self._notifications.cleanup()


def _describe_brokers(url: Any) -> str:
    """Return where a transport URL leads, without its secrets."""
    named = [
        f'{host.hostname}:{host.port}' if host.port else f'{host.hostname}'
        for host in url.hosts
    ]
    return ', '.join(named) or f'{url.transport}://'


def _endpoint(target: Any, methods: list[str], dispatch: Dispatch) -> object:
    """Return an object with the methods that oslo.messaging looks for."""

    def answer(name: str) -> Callable[..., Json | None]:
        def method(
            self: object, context: Json, **arguments: Any
        ) -> Json | None:
            return dispatch(name, context, arguments)

        return method

    members: dict[str, Any] = {name: answer(name) for name in methods}
    members['target'] = oslo_messaging.Target(version=target.version)
    return type('Endpoint', (), members)()


def _translate_errors(message: Message, send: Callable[[], Any]) -> Any:
    where = message.topic
    if message.server is not None:
        where = f'{message.topic} on {message.server}'
    try:
        return send()
    except oslo_messaging.MessagingTimeout as error:
        reason = f'no answer to {message.method} in {message.timeout} s'
        raise exception.RpcTimeout(what=where, reason=reason) from error
    except oslo_messaging.MessageUndeliverable as error:
        reason = 'nobody listens there'
        raise exception.NoConsumer(what=where, reason=reason) from error
    except oslo_messaging.RemoteError as error:
        if error.exc_type not in _UNKNOWN_METHOD:
            raise
        reason = f'it is of a release that has no {message.method}'
        raise exception.UnsupportedVersion(
            what=where, reason=reason
        ) from error
    except OSError as error:
        reason = f'the message broker cannot be reached: {error}'
        raise exception.Unavailable(what=where, reason=reason) from error
    except Exception as error:
        if not is_outage(error):
            raise
        reason = f'{type(error).__name__}: {error}'
        raise exception.Unavailable(what=where, reason=reason) from error
