# SPDX-License-Identifier: Apache-2.0
"""The accounts of the services in RabbitMQ, with narrow permissions.

``ACCOUNTS`` says what each service does over the broker; the permissions
follow from it and from ``routes``. RabbitMQ has three regular expressions of
queues and exchanges for an account: *configure* (declare and delete), *write*
(publish to an exchange; bind a queue) and *read* (consume and purge a queue;
bind to an exchange), and for each topic exchange two of routing keys, by which
the account publishes (*write*) and binds (*read*).
"""

from collections.abc import Iterable
import dataclasses
import re
import shlex
from typing import Final

from minova.rpc import compute
from minova.rpc import conductor
from minova.rpc import routes

#: Placeholders of names: any text, and the id of a process.
ANY: Final = '<any>'
PROCESS: Final = '<process>'
_PATTERNS: Final = {ANY: '.+', PROCESS: '[0-9a-f-]{36}'}
#: The exchange whose routing keys are the names of all queues.
_DEFAULT_EXCHANGE: Final = 'amq.default'
#: The priorities of notifications in their routing keys.
PRIORITIES: Final = ('info', 'error')
#: A regular expression without a match.
_NONE: Final = '^$'


@dataclasses.dataclass(frozen=True)
class Account:
    """What a service does over the broker.

    ``serves`` is its topic; a server also answers. ``sends`` are the topics
    to which it sends requests. ``per_host``: each host has an account.
    """

    purpose: str
    serves: str | None = None
    sends: tuple[str, ...] = ()
    per_host: bool = False
    publishes_notifications: bool = False
    consumes_notifications: bool = False
    writes_queues: bool = False


ACCOUNTS: Final = {
    'api': Account('sends requests', sends=('conductor', 'compute')),
    'conductor': Account(
        'answers the others, sends requests, publishes notifications',
        serves=conductor.TOPIC,
        sends=('conductor', 'compute'),
        publishes_notifications=True,
    ),
    'compute': Account(
        'answers for its host, asks conductors and other computes',
        serves=compute.TOPIC,
        sends=('conductor', 'compute_peer'),
        per_host=True,
    ),
    'novncproxy': Account('asks conductors', sends=('conductor',)),
    'manage': Account(
        'minova-manage: audits hosts, replays notifications to any queue',
        sends=('conductor', 'compute'),
        publishes_notifications=True,
        writes_queues=True,
    ),
    'consumer': Account(
        'reads the notifications', consumes_notifications=True
    ),
}


@dataclasses.dataclass(frozen=True)
class Notifications:
    """The exchange of notifications and its routing keys.

    The publisher makes a queue for each key. ``queues`` are those of a
    consumer; without any it reads the queues of the publisher.
    """

    exchange: str
    keys: tuple[str, ...]
    queues: tuple[str, ...] = ()


@dataclasses.dataclass
class Permissions:
    """The regular expressions of one account."""

    configure: str
    write: str
    read: str
    #: By topic exchange: write, read.
    topics: dict[str, tuple[str, str]]


class Names:
    """Collects the names that an account may use, with placeholders."""

    def __init__(self) -> None:
        self.configure: list[str] = []
        self.write: list[str] = []
        self.read: list[str] = []
        #: By topic exchange: write, read.
        self.topics: dict[str, tuple[list[str], list[str]]] = {}

    def add(
        self, service: str, host: str, notifications: Notifications
    ) -> None:
        """Add the names of a service."""
        account = ACCOUNTS[service]
        if account.sends:
            reply = routes.reply_queue(service, host, PROCESS)
            self._own(routes.Queue(reply, (reply,)))
            for topic in account.sends:
                self._publish(routes.EXCHANGE, _addresses(topic))
        if account.serves is not None:
            for queue in routes.queues(account.serves, host):
                self._own(queue)
            # The self-check sends to the own host.
            own = f'{account.serves}.{host}'
            answers = routes.reply_queue(ANY, ANY, PROCESS)
            self._publish(routes.EXCHANGE, [own, answers])
        if account.publishes_notifications:
            self.configure += [notifications.exchange, *notifications.keys]
            self._publish(notifications.exchange, notifications.keys)
            # A publisher binds the queue, in case that no consumer has.
            self.write += notifications.keys
            self._bind(notifications.exchange, notifications.keys)
        if account.consumes_notifications:
            queues = notifications.queues or notifications.keys
            self.configure += [notifications.exchange, *queues]
            self.write += queues
            self.read += queues
            self._bind(notifications.exchange, notifications.keys)
        if account.writes_queues:
            self.write.append(_DEFAULT_EXCHANGE)

    def _own(self, queue: routes.Queue) -> None:
        """Declare, bind and consume a queue of RPC."""
        for names in (self.configure, self.write, self.read):
            names.append(queue.name)
        self._bind(routes.EXCHANGE, queue.keys)

    def _bind(self, exchange: str, keys: Iterable[str]) -> None:
        self.read.append(exchange)
        self.topics.setdefault(exchange, ([], []))[1].extend(keys)

    def _publish(self, exchange: str, keys: Iterable[str]) -> None:
        self.write.append(exchange)
        self.topics.setdefault(exchange, ([], []))[0].extend(keys)

    def permissions(self) -> Permissions:
        """Return the regular expressions of the names."""
        return Permissions(
            _one_of(self.configure),
            _one_of(self.write),
            _one_of(self.read),
            {
                exchange: (_one_of(write), _one_of(read))
                for exchange, (write, read) in self.topics.items()
            },
        )


def _addresses(topic: str) -> list[str]:
    """Return the routing keys to the servers of a topic."""
    return [topic] if topic == conductor.TOPIC else [f'{topic}.{ANY}']


def _one_of(names: Iterable[str]) -> str:
    """Return a regular expression of names with placeholders."""
    patterns = []
    for name in dict.fromkeys(names):
        pattern = re.escape(name).replace(r'\-', '-')
        for placeholder, regex in _PATTERNS.items():
            pattern = pattern.replace(placeholder, regex)
        patterns.append(pattern)
    return f'^({"|".join(patterns)})$' if patterns else _NONE


def make_permissions(
    services: Iterable[str], host: str | None, notifications: Notifications
) -> Permissions:
    """Return the permissions of an account that these services use.

    ``host`` None: on any host. ValueError for a service with an account for
    each host.
    """
    names = Names()
    for service in services:
        if host is None and ACCOUNTS[service].per_host:
            raise ValueError(f'{service}: each host has an account of its own')
        names.add(service, host or ANY, notifications)
    return names.permissions()


def commands(
    user: str, vhost: str, permissions: Permissions
) -> Iterable[list[str]]:
    """Yield the arguments of rabbitmqctl that set the permissions."""
    virtual_host = ['-p', vhost]
    yield [
        'set_permissions',
        *virtual_host,
        user,
        permissions.configure,
        permissions.write,
        permissions.read,
    ]
    # Without topic permissions for an exchange, an account may use all of its
    # routing keys.
    for exchange, (write, read) in permissions.topics.items():
        yield [
            'set_topic_permissions',
            *virtual_host,
            user,
            exchange,
            write,
            read,
        ]


def as_shell(arguments: Iterable[str]) -> str:
    """Return a command of rabbitmqctl for a shell."""
    return shlex.join(['rabbitmqctl', *arguments])
