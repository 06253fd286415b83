# SPDX-License-Identifier: Apache-2.0
"""How a remote method is declared: once, typed, for both ends.

An interface is a Protocol class whose methods carry ``@call`` or ``@cast``.
The service that serves it implements it; whoever asks gets a client of the
same type. Each method says since which version it exists, each interface
which version it is at: a client that is pinned to an older version does not
use newer methods (``can_send``), and a test pins every version to what it
looked like.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import inspect
from typing import Any
from typing import TypeVar

from oslo_log import log as logging

from minova import exception
from minova.context import Context
from minova.exception import serialization
from minova.rpc import bus as buses
from minova.rpc import serializer

LOG = logging.getLogger(__name__)

F = TypeVar('F', bound=Callable[..., Any])

_MARK = '_rpc'


@dataclasses.dataclass(frozen=True)
class Method:
    """What is declared of one remote method.

    ``timeout`` is in seconds, None for a cast. ``since`` is the version of
    the interface it came with; ``objects_since`` the one from which its
    objects travel as such and not as plain dicts.
    """

    name: str
    reply: bool
    since: str
    timeout: float | None
    objects_since: str | None


def call(
    since: str = '1.0',
    timeout: float = 30,
    objects_since: str | None = None,
) -> Callable[[F], F]:
    """Declare a method whose caller waits for the result."""

    def declare(method: F) -> F:
        made = Method(method.__name__, True, since, timeout, objects_since)
        setattr(method, _MARK, made)
        return method

    return declare


def cast(since: str = '1.0') -> Callable[[F], F]:
    """Declare a method whose caller does not wait."""

    def declare(method: F) -> F:
        made = Method(method.__name__, False, since, None, None)
        setattr(method, _MARK, made)
        return method

    return declare


@dataclasses.dataclass(frozen=True)
class Interface:
    """A Protocol of remote methods with its topic and version.

    ``objects`` says which versions of objects came with which version of the
    interface, the oldest first; every object began as 1.0 with it. ``kept``:
    every method may be asked twice, so that what a server had in hand when its
    process died is asked of another one.
    """

    protocol: type
    topic: str
    version: str
    objects: tuple[tuple[str, Mapping[str, str]], ...] = ()
    late_ack: bool = False

    def objects_at(self, version: str | None) -> Mapping[str, str] | None:
        """Return what objects looked like then; None for as they are."""
        if version is None:
            return None
        known: dict[str, str] = {}
        for since, versions in self.objects:
            if parse(since) <= parse(version):
                known |= versions
        return known

    def methods(self) -> dict[str, Method]:
        """Return the declared methods by name."""
        return {
            name: getattr(member, _MARK)
            for name, member in inspect.getmembers(self.protocol)
            if hasattr(member, _MARK)
        }

    def signature(self) -> dict[str, str]:
        """Return each method as text, for the test that pins versions."""
        return {
            name: f'{method} {inspect.signature(getattr(self.protocol, name))}'
            for name, method in sorted(self.methods().items())
        }


def parse(version: str) -> tuple[int, int]:
    """Return a version as numbers; ValueError when it is none."""
    major, minor = version.split('.')
    return int(major), int(minor)


class Client:
    """Whoever asks: has the methods of the interface's protocol.

    ``server`` addresses one host. ``pin`` is the newest version to speak.
    """

    def __init__(
        self,
        interface: Interface,
        bus: buses.Bus,
        server: str | None = None,
        pin: str | None = None,
    ) -> None:
        self._interface = interface
        self._bus = bus
        self._server = server
        self._version = pin or interface.version
        self._objects = interface.objects_at(pin)
        for method in interface.methods().values():
            setattr(self, method.name, self._sender(method))

    def can_send(self, version: str) -> bool:
        """Tell whether the other end is taken to speak ``version``."""
        spoken, wanted = parse(self._version), parse(version)
        return spoken[0] == wanted[0] and spoken >= wanted

    def _sender(self, method: Method) -> Callable[..., Any]:
        def send(context: Context, **arguments: Any) -> Any:
            return self._send(method, context, arguments)

        return send

    def _send(
        self, method: Method, context: Context, arguments: dict[str, Any]
    ) -> Any:
        if not self.can_send(method.since):
            raise exception.UnsupportedVersion(
                what=f'{self._interface.topic}.{method.name}',
                reason=f'it came with version {method.since} and this service '
                f'is pinned to {self._version}',
            )
        plain = method.objects_since is not None and not self.can_send(
            method.objects_since
        )
        message = buses.Message(
            topic=self._interface.topic,
            server=self._server,
            method=method.name,
            # The oldest version that understands the message, so that an
            # older server may answer.
            version=(
                method.since
                if plain
                else max(
                    method.since, method.objects_since or '1.0', key=parse
                )
            ),
            arguments={
                name: (
                    _plain(value)
                    if plain
                    else serializer.encode(value, self._objects)
                )
                for name, value in arguments.items()
            },
            context=context.to_dict(),
            timeout=method.timeout,
        )
        if not method.reply:
            self._bus.cast(message)
            return None
        reply = self._bus.call(message)
        if 'error' in reply:
            raise serialization.decode(reply['error'])
        return serializer.decode(reply['result'])


def _plain(value: Any) -> Any:
    """Return an object as the dict that older versions took."""
    encoded = serializer.encode(value)
    if isinstance(encoded, dict) and 'minova_object.data' in encoded:
        return {
            name: _plain_data(item)
            for name, item in encoded['minova_object.data'].items()
        }
    return encoded


def _plain_data(value: Any) -> Any:
    if isinstance(value, dict) and 'minova_object.data' in value:
        return value['minova_object.data']
    return value


class Dispatcher:
    """The serving end: unpacks, asks the implementation, packs the answer.

    ``pin`` is the newest version that whoever asks may speak.
    """

    def __init__(
        self,
        interface: Interface,
        implementation: object,
        pin: str | None = None,
    ) -> None:
        self._objects = interface.objects_at(pin)
        self.interface = interface
        self._implementation = implementation
        self._methods = interface.methods()

    def serve(self, bus: buses.Bus, topic: str, server: str) -> buses.Server:
        """Let a server of ``topic`` answer with this."""
        return bus.serve(
            topic,
            server,
            self.interface.version,
            self.method_names(),
            self.dispatch,
            self.interface.late_ack,
        )

    def method_names(self) -> list[str]:
        """Return the names that may be asked for."""
        return sorted(self._methods)

    def dispatch(
        self,
        method: str,
        context: dict[str, Any],
        arguments: dict[str, Any],
    ) -> dict[str, Any] | None:
        """Answer one message: a dict with 'result' or 'error'.

        An error of ours is part of the answer; anything else is logged with
        its traceback and quoted in the answer.
        """
        declared = self._methods[method]
        request_context = Context.from_values(context)
        request_context.update_store()
        decoded = {k: serializer.decode(v) for k, v in arguments.items()}
        try:
            found = getattr(self._implementation, method)
            result = found(request_context, **decoded)
        except exception.MinovaException as error:
            LOG.debug('%s answers %s', method, error)
            return {'error': serialization.encode(error)}
        except Exception as error:
            LOG.exception('%s broke', method)
            return {'error': serialization.encode(error)}
        if not declared.reply:
            return None
        return {'result': serializer.encode(result, self._objects)}


def client(
    interface: Interface,
    bus: buses.Bus,
    server: str | None = None,
    pin: str | None = None,
) -> Any:
    """Return a client; its maker says of which protocol it is."""
    return Client(interface, bus, server, pin)
