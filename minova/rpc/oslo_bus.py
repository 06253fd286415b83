# SPDX-License-Identifier: Apache-2.0
"""The message bus over oslo.messaging: rabbit://, memory:// and fake://.

Every failure of the transport is an Unavailable with the reason; an error in
an answer belongs to the contract. A message for a missing queue fails at once
when the broker reports it, and does not wait for the service.
"""

from collections.abc import Callable
from collections.abc import Collection
from typing import Any
from typing import cast
from typing import TypeVar

from oslo_log import log as logging
import oslo_messaging

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.rpc import rabbit_driver
from minova.rpc import rabbit_listener
from minova.rpc import routes
from minova.rpc.bus import Dispatch
from minova.rpc.bus import Json
from minova.rpc.bus import Message
from minova.rpc.named_queue import NamedQueue
from minova.rpc.rabbit_listener import is_outage

LOG = logging.getLogger(__name__)

T = TypeVar('T')

#: Seconds that a stopping service still waits for answers, and the interval
#: of the check for calls that are still open.
_ABORT_DELAY = 5.0
_POLL_INTERVAL = 0.2

#: Transports inside one process.
_LOCAL = ('memory', 'fake')

#: What a driver adds to the context of a message, unsigned.
_ADDED_MEMBERS = ('client_timeout', 'msg_id', 'reply_q')

#: The errors of a service of an older release without the method.
_UNKNOWN_METHOD = ('NoSuchMethod', 'UnsupportedVersion')


class OsloServer:
    """An oslo.messaging RPC server as a ``bus.Server``."""

    def __init__(
        self, server: oslo_messaging.MessageHandlingServer, brokers: str
    ) -> None:
        self._server = server
        self._brokers = brokers

    def start(self) -> None:
        """Declare the queues and start to receive messages.

        Waits for a broker that is down; Unavailable when the broker refuses.
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
        """Receive no more; return when every received message is answered."""
        self._server.stop()
        self._server.wait()


class OsloBus:
    """The connections of one process to the brokers."""

    def __init__(
        self,
        url: str | None = None,
        threads: int = 16,
        service: str = 'minova',
    ) -> None:
        """Use ``url``, or the option ``transport_url``; connect later.

        ``threads`` is the number of messages that each server handles at a
        time, unless ``executor_thread_pool_size`` is set. ``service`` is the
        sender of the messages (``broker_accounts``). Raises ConfigInvalid for
        a URL without a driver.
        """
        self._service = service
        self._threads = threads
        self._closed = clock.event()
        self._calls_aborted = False
        oslo_messaging.set_transport_defaults(routes.EXCHANGE)
        try:
            self._transport = oslo_messaging.get_rpc_transport(CONF, url)
            self._notifications = oslo_messaging.get_notification_transport(
                CONF, url
            )
            parsed = oslo_messaging.TransportURL.parse(CONF, url)
        except (
            oslo_messaging.DriverLoadFailure,
            oslo_messaging.InvalidTransportURL,
            ValueError,  # a port that is not a number
        ) as error:
            raise exception.ConfigInvalid(
                reason=f'transport_url is not usable: {error}'
            ) from error
        self._brokers = _describe_brokers(parsed)
        self._knows_senders = rabbit_driver.install(self._transport, service)
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
        """Raise ConfigInvalid for a transport without a driver."""
        cls().close()

    def call(self, message: Message) -> Json:
        """Send a message and return the answer."""
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
                'stopped',
            )
        return cast(Json, answer)

    def cast(self, message: Message) -> None:
        """Send a message without an answer."""
        context = self._prepare(message)
        _translate_errors(
            message,
            lambda: context.cast(
                message.context, message.method, **message.arguments
            ),
        )

    def _prepare(self, message: Message) -> Any:
        topic = message.topic
        if (
            self._knows_senders
            and topic == self._service
            and message.server != CONF.host
        ):
            topic = routes.PEER_TOPICS.get(topic, topic)
        address = {'topic': topic, 'version': message.version}
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
        peer_methods: Collection[str] = (),
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
        rabbit_listener.install(made, target, late_ack, peer_methods)
        # The default of oslo.messaging is 64 threads.
        CONF.set_default('executor_thread_pool_size', self._threads)
        return OsloServer(made, self._brokers)

    def publish(
        self, exchange: str, topic: str, context: Json, body: Json
    ) -> None:
        """Publish a notification and wait for the broker's confirmation."""
        # The public Notifier hides every error. Its messagingv2 driver calls
        # this method, which raises them.
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
        """Whether notifications stay inside this process."""
        return self._notifications._driver._url.transport in _LOCAL

    def named_queue(self, name: str) -> NamedQueue:
        """Return a queue of the notification broker, for the caller to close.

        Raises Unavailable when the broker is down.
        """
        return NamedQueue(self._notifications, name)

    def abort_calls_soon(self) -> None:
        """Fail all calls that are open a few seconds from now.

        A service that stops calls this, because the called service may have
        stopped too. The calls, and later ones, raise Unavailable.
        """
        clock.spawn('abort-calls', self._abort_calls)

    def _abort_calls(self) -> None:
        self._closed.wait(_ABORT_DELAY)
        self._calls_aborted = True
        while not self._closed.wait(_POLL_INTERVAL):
            # The library has no method to cancel a call.
            waiter = getattr(self._transport._driver, '_waiter', None)
            if waiter is None:
                continue
            for number in list(waiter.waiters._queues):
                waiter.waiters.put(
                    number, {'result': None, 'failure': None, 'ending': True}
                )

    def close(self) -> None:
        """Close all connections."""
        self._closed.set()
        self._transport.cleanup()
        self._notifications.cleanup()


def _describe_brokers(url: oslo_messaging.TransportURL) -> str:
    """Return the hosts of a transport URL, without its secrets."""
    named = [
        f'{host.hostname}:{host.port}' if host.port else f'{host.hostname}'
        for host in url.hosts
    ]
    return ', '.join(named) or f'{url.transport}://'


def _endpoint(
    target: oslo_messaging.Target, methods: list[str], dispatch: Dispatch
) -> object:
    """Return an oslo.messaging endpoint with a function per method."""

    def answer(name: str) -> Callable[..., Json | None]:
        def method(
            self: object, context: Json, **arguments: object
        ) -> Json | None:
            sent = {
                member: value
                for member, value in context.items()
                if member not in _ADDED_MEMBERS
            }
            return dispatch(name, sent, arguments)

        return method

    members: dict[str, object] = {name: answer(name) for name in methods}
    members['target'] = oslo_messaging.Target(version=target.version)
    return type('Endpoint', (), members)()


def _translate_errors(message: Message, send: Callable[[], T]) -> T:
    where = message.topic
    if message.server is not None:
        where = f'{message.topic} on {message.server}'
    try:
        return send()
    except oslo_messaging.MessagingTimeout as error:
        reason = f'no answer to {message.method} in {message.timeout} s'
        raise exception.RpcTimeout(what=where, reason=reason) from error
    except oslo_messaging.MessageUndeliverable as error:
        reason = 'the queue has no consumer'
        raise exception.NoConsumer(what=where, reason=reason) from error
    except oslo_messaging.RemoteError as error:
        if error.exc_type not in _UNKNOWN_METHOD:
            raise
        reason = f'its release has no method {message.method}'
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
