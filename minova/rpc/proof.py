# SPDX-License-Identifier: Apache-2.0
"""The proof of a message: who sent it, when, to whom, and what it said.

The proof travels in the context of its message. Its signature covers topic,
addressed server, method, context and arguments, so that a message cannot be
changed, sent elsewhere or sent under another name. ``verifier`` checks it.
"""

from collections.abc import Callable
import dataclasses
import enum
import hashlib
import itertools
import json
from typing import Any
from typing import Final
from typing import Self

from oslo_serialization import jsonutils

from minova.rpc.bus import Json
from minova.rpc.signing import SigningKey

#: The member of a context that has the proof.
MEMBER: Final = 'proof'
#: Keeps signatures of messages apart from all others, and from those of
#: another form of the proof.
_PREFIX: Final = b'minova message 1\n'


class Sender(enum.StrEnum):
    """Who signs messages, each with a key of its kind."""

    #: api, conductor and minova-manage: one key, in the database.
    CONTROL_PLANE = 'control_plane'
    #: The compute of one host, with the key of that host.
    COMPUTE = 'compute'


class Caller(enum.StrEnum):
    """Who may call a method; each method declares it."""

    CONTROL_PLANE = 'control_plane'
    #: A compute, for its own host: the method names the host.
    COMPUTE = 'compute'
    #: The compute that serves the method.
    SAME_HOST = 'same_host'
    #: A compute that shows its key, which may be new.
    NEW_HOST = 'new_host'
    #: Every account of the broker; the arguments have a secret of their own
    #: or the answer is none.
    ANYONE = 'anyone'


@dataclasses.dataclass(frozen=True)
class Proof:
    """The statement of a sender.

    ``incarnation`` and ``number`` name the message: a process counts its
    messages. ``time`` is in seconds since 1970 by the clock of the database.
    ``server`` is the addressed host, None: any server of the topic.
    """

    sender: str
    host: str
    incarnation: str
    number: int
    time: float
    server: str | None
    signature: str = ''

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Return the proof in a context; ValueError for another value."""
        if not isinstance(values, dict) or set(values) != set(_TYPES):
            raise ValueError('it has another form')
        for name, types in _TYPES.items():
            if not isinstance(values[name], types):
                raise ValueError(f'it has another form: {name}')
        return cls(**values)

    def content(
        self, topic: str, method: str, context: Json, arguments: Json
    ) -> bytes:
        """Return what is signed."""
        text = json.dumps(
            [
                topic,
                self.server,
                method,
                self.sender,
                self.host,
                self.incarnation,
                self.number,
                self.time,
                context,
                arguments,
            ],
            sort_keys=True,
            separators=(',', ':'),
        )
        return _PREFIX + text.encode()


_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    'sender': str,
    'host': str,
    'incarnation': str,
    'number': int,
    'time': (int, float),
    'server': (str, type(None)),
    'signature': str,
}


def digest(content: bytes) -> str:
    """Return the name of a signed message."""
    return hashlib.sha256(content).hexdigest()


class Signer:
    """Signs the messages of one process; every client of it shares it."""

    def __init__(
        self,
        key: SigningKey,
        sender: Sender,
        host: str,
        incarnation: str,
        now: Callable[[], float],
    ) -> None:
        """``now`` returns the time of the database."""
        self._key = key
        self._sender = sender
        self._host = host
        self._incarnation = incarnation
        self._now = now
        self._numbers = itertools.count()

    def sign(
        self,
        topic: str,
        server: str | None,
        method: str,
        context: Json,
        arguments: Json,
    ) -> tuple[Json, Json]:
        """Return context, with the proof, and arguments, as they are sent.

        Both are plain JSON, which every transport leaves as it is.
        """
        context, arguments = jsonutils.loads(
            jsonutils.dumps([context, arguments])
        )
        unsigned = Proof(
            sender=str(self._sender),
            host=self._host,
            incarnation=self._incarnation,
            number=next(self._numbers),
            time=round(self._now(), 3),
            server=server,
        )
        content = unsigned.content(topic, method, context, arguments)
        proof = dataclasses.replace(
            unsigned, signature=self._key.sign(content)
        )
        return context | {MEMBER: dict(vars(proof))}, arguments
