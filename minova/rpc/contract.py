# SPDX-License-Identifier: Apache-2.0
"""The declaration of a remote method: once, typed, for both ends.

An interface is a Protocol class whose methods carry ``@call`` or ``@cast``.
The service implements the Protocol, and a client has the same type. A step
method is declared by its step class (``minova.flows``) and joins an interface
as data (``with_steps``): its only argument is the id of the step.

Each method has the version that added it, and each interface its current
version. A client that is pinned to an older version does not send newer
methods (``can_send``). A test pins the fingerprint of every version.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import functools
import inspect
import typing
from typing import ParamSpec
from typing import Self
from typing import TypeVar

from oslo_log import log as logging

from minova import exception
from minova.context import Context
from minova.exception import serialization
from minova.objects.step_results import StepResult
from minova.rpc import bus as buses
from minova.rpc import serializer
from minova.rpc.proof import Caller
from minova.rpc.proof import Signer
from minova.rpc.verifier import Received
from minova.rpc.verifier import Verifier

LOG = logging.getLogger(__name__)

P = ParamSpec('P')
R = TypeVar('R')

_MARK = '_rpc'


@dataclasses.dataclass(frozen=True)
class Method:
    """The declaration of one remote method.

    ``timeout`` is in seconds, None for a cast. ``since`` is the version of
    the interface that added the method; ``objects_since`` the first version
    that sends its arguments as versioned objects, not as plain dicts.
    ``callers`` may call it; with ``once`` no server of the topic accepts a
    copy of a message. ``summary`` is the first line of the docstring.
    """

    name: str
    reply: bool
    since: str
    timeout: float | None
    objects_since: str | None
    callers: tuple[Caller, ...]
    once: bool
    summary: str = dataclasses.field(repr=False)


def call(
    *callers: Caller,
    since: str = '1.0',
    timeout: float = 30,
    objects_since: str | None = None,
    once: bool = False,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a method whose caller waits for the result."""

    def declare(function: Callable[P, R]) -> Callable[P, R]:
        declared = Method(
            function.__name__,
            True,
            since,
            timeout,
            objects_since,
            callers,
            once,
            _summary(function),
        )
        setattr(function, _MARK, declared)
        return function

    return declare


def cast(
    *callers: Caller,
    since: str = '1.0',
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a method whose caller does not wait."""

    def declare(function: Callable[P, R]) -> Callable[P, R]:
        declared = Method(
            function.__name__,
            False,
            since,
            None,
            None,
            callers,
            False,
            _summary(function),
        )
        setattr(function, _MARK, declared)
        return function

    return declare


def step_method(
    name: str,
    since: str,
    timeout: float | None,
    callers: tuple[Caller, ...],
    step_class: type,
) -> Method:
    """Return the method of a step class; a call if it has a timeout."""
    return Method(
        name,
        timeout is not None,
        since,
        timeout,
        None,
        callers,
        False,
        _summary(step_class),
    )


def _summary(documented: object) -> str:
    return (inspect.getdoc(documented) or '').partition('\n')[0]


@dataclasses.dataclass(frozen=True)
class Interface:
    """The remote methods of a service, with its topic and version.

    ``objects`` lists the versions of objects that each version of the
    interface added, the oldest first; every object starts at 1.0. With
    ``late_ack`` every method may run twice: the broker redelivers a message
    whose server died before its answer.

    A method of ``protocol`` may have the name of a step, and gives the step
    its version. A message whose only argument is ``step`` is for the step.
    """

    protocol: type
    topic: str
    version: str
    objects: tuple[tuple[str, Mapping[str, str]], ...] = ()
    late_ack: bool = False
    steps: Mapping[str, Method] = dataclasses.field(default_factory=dict)

    def with_steps(self, methods: Iterable[Method]) -> Self:
        """Return the interface with the methods of steps."""
        steps = {method.name: method for method in methods}
        for name, method in self.methods().items():
            if name in steps:
                steps[name] = dataclasses.replace(
                    steps[name], since=method.since
                )
        return dataclasses.replace(self, steps=steps)

    def objects_at(self, version: str | None) -> Mapping[str, str] | None:
        """Return the object versions of ``version``; None: the current."""
        if version is None:
            return None
        known: dict[str, str] = {}
        for since, versions in self.objects:
            if parse(since) <= parse(version):
                known |= versions
        return known

    def methods(self) -> dict[str, Method]:
        """Return all methods by name."""
        return dict(self.steps) | {
            name: getattr(getattr(self.protocol, name), _MARK)
            for name in _marked_members(self.protocol)
        }

    def peer_methods(self) -> frozenset[str]:
        """Return the names of the methods that a compute may call."""
        return frozenset(
            name
            for name, method in self.methods().items()
            if Caller.COMPUTE in method.callers
        )

    def parameters(self, name: str) -> list[str]:
        """Return the names of a method's arguments after the context."""
        function = getattr(self.protocol, name, None)
        if function is None:
            return ['step']
        return list(inspect.signature(function).parameters)[2:]

    def fingerprints(self) -> dict[str, str]:
        """Return each method as text, for the test that pins versions."""
        texts = {}
        for name, method in sorted(self.methods().items()):
            function = getattr(self.protocol, name, None)
            signature = inspect.signature(function) if function else '(step)'
            texts[name] = f'{method} {signature}'
        return texts


@functools.cache
def _marked_members(protocol: type) -> tuple[str, ...]:
    """Return the names of the methods of a protocol."""
    return tuple(
        name
        for name, member in inspect.getmembers(protocol)
        if hasattr(member, _MARK)
    )


def parse(version: str) -> tuple[int, int]:
    """Return a version as numbers; ValueError for another text."""
    major, minor = version.split('.')
    return int(major), int(minor)


class Client:
    """The sending end: has the methods of the interface's protocol.

    ``server`` addresses one host. ``pin`` is the newest version to speak. A
    client without ``signer`` can call the methods of ANYONE only.
    """

    def __init__(
        self,
        interface: Interface,
        bus: buses.Bus,
        server: str | None = None,
        pin: str | None = None,
        signer: Signer | None = None,
    ) -> None:
        self._interface = interface
        self._bus = bus
        self._signer = signer
        self._server = server
        self._version = pin or interface.version
        self._objects = interface.objects_at(pin)
        for method in interface.methods().values():
            setattr(self, method.name, self._sender(method))

    def can_send(self, version: str) -> bool:
        """Tell whether the server is expected to speak ``version``."""
        spoken, wanted = parse(self._version), parse(version)
        return spoken[0] == wanted[0] and spoken >= wanted

    def send_step(
        self, context: Context, name: str, step: str
    ) -> StepResult | None:
        """Send a step's method; return the result, None for a cast."""
        method = self._interface.steps[name]
        result = self._send(method, context, {'step': step})
        return typing.cast(StepResult | None, result)

    def _sender(self, method: Method) -> Callable[..., object]:
        def send(context: Context, **arguments: object) -> object:
            return self._send(method, context, arguments)

        return send

    def _send(
        self, method: Method, context: Context, arguments: buses.Json
    ) -> object:
        if not self.can_send(method.since):
            raise exception.UnsupportedVersion(
                what=f'{self._interface.topic}.{method.name}',
                reason=f'it came with version {method.since} and this service '
                f'is pinned to {self._version}',
            )
        plain = method.objects_since is not None and not self.can_send(
            method.objects_since
        )
        sent_context: buses.Json = context.to_dict()
        sent: buses.Json = {
            name: (
                _plain(value)
                if plain
                else serializer.encode(value, self._objects)
            )
            for name, value in arguments.items()
        }
        if self._signer is not None:
            sent_context, sent = self._signer.sign(
                self._interface.topic,
                self._server,
                method.name,
                sent_context,
                sent,
            )
        message = buses.Message(
            topic=self._interface.topic,
            server=self._server,
            method=method.name,
            # The oldest version that has the message, so that an older
            # server accepts it.
            version=(
                method.since
                if plain
                else max(
                    method.since, method.objects_since or '1.0', key=parse
                )
            ),
            arguments=sent,
            context=sent_context,
            timeout=method.timeout,
        )
        if not method.reply:
            self._bus.cast(message)
            return None
        reply = self._bus.call(message)
        if 'error' in reply:
            raise serialization.decode(reply['error'])
        return serializer.decode(reply['result'])


def _plain(value: object) -> object:
    """Return an object as the plain dict of older versions."""
    encoded = serializer.encode(value)
    if isinstance(encoded, dict) and 'minova_object.data' in encoded:
        return {
            name: _plain_data(item)
            for name, item in encoded['minova_object.data'].items()
        }
    return encoded


def _plain_data(value: object) -> object:
    if isinstance(value, dict) and 'minova_object.data' in value:
        return value['minova_object.data']
    return value


#: Runs a step for its method; returns the result, None for a cast.
StepHandler = Callable[[Context, Method, str], StepResult | None]


class Dispatcher:
    """The serving end: decodes, calls the implementation, encodes the answer.

    ``handle_step`` runs the steps of an interface that has them. ``pin`` is
    the newest version that clients speak; ``server`` the host of the service,
    to which a message may be addressed.
    """

    def __init__(
        self,
        interface: Interface,
        implementation: object,
        verifier: Verifier,
        server: str,
        pin: str | None = None,
        handle_step: StepHandler | None = None,
    ) -> None:
        self._objects = interface.objects_at(pin)
        self.interface = interface
        self._implementation = implementation
        self._verifier = verifier
        self._server = server
        self._methods = interface.methods()
        self._handle_step = handle_step

    def serve(self, bus: buses.Bus) -> buses.Server:
        """Return a server of the interface's topic that answers with this."""
        return bus.serve(
            self.interface.topic,
            self._server,
            self.interface.version,
            self.method_names(),
            self.dispatch,
            self.interface.late_ack,
            self.interface.peer_methods(),
        )

    def method_names(self) -> list[str]:
        """Return the names of all methods."""
        return sorted(self._methods)

    def dispatch(
        self, method: str, context: buses.Json, arguments: buses.Json
    ) -> buses.Json | None:
        """Answer one message: a dict with 'result' or 'error'; None: a cast.

        A Minova error is part of the answer. Any other error is logged with
        its traceback and quoted in the answer.
        """
        declared = self._methods[method]
        try:
            self._verifier.verify(
                Received(
                    topic=self.interface.topic,
                    server=self._server,
                    method=method,
                    callers=declared.callers,
                    once=declared.once,
                    context=context,
                    arguments=arguments,
                )
            )
            request_context = Context.from_values(context)
            request_context.update_store()
            decoded = {k: serializer.decode(v) for k, v in arguments.items()}
            result = self._call(declared, request_context, decoded)
        except exception.MinovaException as error:
            LOG.debug('%s answers %s', method, error)
            return {'error': serialization.encode(error)}
        except Exception as error:
            LOG.exception('%s failed unexpectedly', method)
            return {'error': serialization.encode(error)}
        if not declared.reply:
            return None
        return {'result': serializer.encode(result, self._objects)}

    def _call(
        self, method: Method, context: Context, arguments: buses.Json
    ) -> object:
        step = self.interface.steps.get(method.name)
        if step is not None and set(arguments) == {'step'}:
            assert self._handle_step is not None
            return self._handle_step(context, step, arguments['step'])
        function = getattr(self._implementation, method.name)
        return function(context, **arguments)
