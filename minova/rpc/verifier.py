# SPDX-License-Identifier: Apache-2.0
"""The one place that decides whether a message is what it says.

A message is refused unless its method may be called by its sender, the
signature is that of the sender's key, the message is for this server, it is
fresh, it did not arrive before, and it speaks for the host of its sender only.

A refused call is answered with MessageRefused, which is Unavailable: the
sender repeats what it must, with a new proof. A copy that the broker delivers
again to a process that has the message already is refused as well; the first
copy is answered.
"""

import dataclasses
from typing import Any
from typing import Final
from typing import Protocol

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.objects.host import HostReport
from minova.rpc import proof as proofs
from minova.rpc import signing
from minova.rpc.bus import Json
from minova.rpc.proof import Caller
from minova.rpc.proof import Proof
from minova.rpc.proof import Sender

LOG = logging.getLogger(__name__)

#: Seconds: how old a message may be, and how far ahead of this service. The
#: caller of an older one has given up (no timeout of a call is longer) and
#: has sent another, or the message may be lost.
MAX_AGE: Final = 120.0
MAX_AHEAD: Final = 60.0
#: Seconds between two warnings about the messages of one host.
_WARN_INTERVAL: Final = 60.0
#: Hosts whose last warning is remembered; anyone can name more.
_MAX_WARNED: Final = 1000
#: Characters of a name that is not proven, in logs and errors.
_MAX_NAME: Final = 64
#: The arguments that name the sender.
_OWN_NAMES: Final = ('host', 'incarnation')


class Keys(Protocol):
    """The keys of the senders, and the time of the database."""

    def now(self) -> float:
        """Return the time of the database, in seconds since 1970."""

    def control_plane_key(self) -> str:
        """Return the public key of api and conductors; or MessageRefused."""

    def host_key(self, host: str) -> str:
        """Return the public key of a compute; MessageRefused without one."""


class SharedReplays(Protocol):
    """What all servers of a topic know of the messages that arrived."""

    def use_once(self, digest: str, expires: float) -> bool:
        """Record a message until ``expires``; False: it is recorded."""


@dataclasses.dataclass(frozen=True)
class Received:
    """A message as it arrives at ``server``, and what its method declares."""

    topic: str
    server: str
    method: str
    callers: tuple[Caller, ...]
    once: bool
    context: Json
    arguments: Json


class _Seen:
    """The messages that arrived within the last ``MAX_AGE`` seconds.

    Two sets, so that old entries go at once. They have the messages of six
    minutes at most, about 60 bytes of each.
    """

    def __init__(self) -> None:
        self._guard = clock.lock()
        self._newer: set[int] = set()
        self._older: set[int] = set()
        self._turned_at = clock.monotonic()

    def add(self, digest: str) -> bool:
        """Add a message; False when it is known."""
        # 64 bits: two messages of one name within minutes do not occur.
        name = int(digest[:16], 16)
        with self._guard:
            passed = clock.monotonic() - self._turned_at
            if passed > MAX_AGE + MAX_AHEAD:
                self._older, self._newer = self._newer, set()
                self._turned_at = clock.monotonic()
            if name in self._newer or name in self._older:
                return False
            self._newer.add(name)
            return True


class Verifier:
    """Checks the messages that arrive at one server of a topic."""

    def __init__(
        self, keys: Keys, shared: SharedReplays | None = None
    ) -> None:
        """``shared`` serves the methods that are declared ``once``."""
        self._keys = keys
        self._shared = shared
        self._seen = _Seen()
        self._guard = clock.lock()
        self._warned: dict[str, float] = {}

    def verify(self, message: Received) -> None:
        """Return for a message that is what it says.

        Raises MessageRefused, or Unavailable when the keys cannot be read.
        """
        if Caller.ANYONE in message.callers:
            return
        values = message.context.get(proofs.MEMBER)
        try:
            if values is None:
                raise _refused('it carries no proof of its sender')
            try:
                proof = Proof.from_json(values)
            except ValueError as error:
                raise _refused(f'its proof is not valid: {error}') from error
            _check_caller(proof, message)
            content = self._check_signature(proof, message)
            self._check_time(proof, message)
            if proof.sender == Sender.COMPUTE:
                _require_own(proof, message.arguments)
            self._check_first(proofs.digest(content), message.once)
        except exception.MessageRefused as error:
            host = values.get('host') if isinstance(values, dict) else None
            self._warn(_name(host), message.method, error)
            raise

    def _check_signature(self, proof: Proof, message: Received) -> bytes:
        """Return what the sender has signed."""
        if Caller.NEW_HOST in message.callers:
            key = str(message.arguments.get('public_key'))
        elif proof.sender == Sender.CONTROL_PLANE:
            key = self._keys.control_plane_key()
        else:
            key = self._keys.host_key(proof.host)
        content = proof.content(
            message.topic,
            message.method,
            {
                name: value
                for name, value in message.context.items()
                if name != proofs.MEMBER
            },
            message.arguments,
        )
        if not signing.is_signed(key, proof.signature, content):
            owner = f'host {_name(proof.host)}'
            if proof.sender == Sender.CONTROL_PLANE:
                owner = 'the control plane'
            raise _refused(f'its signature is not that of the key of {owner}')
        return content

    def _check_time(self, proof: Proof, message: Received) -> None:
        if Caller.NEW_HOST in message.callers:
            # The host does not know the time of the database yet.
            return
        age = self._keys.now() - proof.time
        if age > MAX_AGE:
            raise _refused(
                f'it is {age:.0f} s old, and after {MAX_AGE:.0f} s its sender '
                'has given it up'
            )
        if age < -MAX_AHEAD:
            raise _refused(f'its time is {-age:.0f} s ahead')

    def _check_first(self, digest: str, once: bool) -> None:
        is_first = self._seen.add(digest)
        if is_first and once:
            assert self._shared is not None
            expires = self._keys.now() + MAX_AGE + MAX_AHEAD
            is_first = self._shared.use_once(digest, expires)
        if not is_first:
            raise _refused('it has arrived before')

    def _warn(
        self, host: str, method: str, error: exception.MessageRefused
    ) -> None:
        """Log a refused message, once a minute for each host."""
        now = clock.monotonic()
        with self._guard:
            if now - self._warned.get(host, -_WARN_INTERVAL) < _WARN_INTERVAL:
                return
            if len(self._warned) >= _MAX_WARNED:
                self._warned.clear()
            self._warned[host] = now
        LOG.warning(
            'Message %s in the name of %s refused: %s',
            method,
            host,
            error.kwargs['reason'],
        )


def _check_caller(proof: Proof, message: Received) -> None:
    callers = message.callers
    if proof.sender == Sender.CONTROL_PLANE:
        may_call = Caller.CONTROL_PLANE in callers
    else:
        is_same = proof.host == message.server and Caller.SAME_HOST in callers
        may_call = proof.sender == Sender.COMPUTE and (
            is_same or Caller.COMPUTE in callers or Caller.NEW_HOST in callers
        )
    if not may_call:
        raise _refused(
            f'a sender of the kind {_name(proof.sender)} may not call it'
        )
    if proof.server not in (None, message.server):
        raise _refused(f'it was sent to host {_name(proof.server)}')


def _require_own(proof: Proof, arguments: Json) -> None:
    """Raise MessageRefused when a compute speaks for another one."""
    stated = [arguments]
    if 'report' in arguments:
        report = arguments['report']
        if not isinstance(report, dict) or (
            report.get('minova_object.name') != HostReport.__name__
        ):
            raise _refused('its report is not one of a host')
        stated.append(report['minova_object.data'])
    for values in stated:
        for name in _OWN_NAMES:
            own = getattr(proof, name)
            if values.get(name, own) != own:
                raise _refused(
                    f'it names the {name} {_name(values[name])}, and its '
                    f'sender is {_name(own)}'
                )


def _name(value: Any) -> str:
    """Return a name that a message states, for a log or an error."""
    text = str(value)[:_MAX_NAME]
    return text if text.isprintable() else ascii(text)


def _refused(reason: str) -> exception.MessageRefused:
    return exception.MessageRefused(what='The receiver', reason=reason)
