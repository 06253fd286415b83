# SPDX-License-Identifier: Apache-2.0
"""The exchange, the queues and the routing keys of RPC in RabbitMQ.

The services declare by these names, and the permissions of broker accounts
are made from them (``broker_accounts``).

=========================== =================================================
routing key, and queue      messages
=========================== =================================================
``conductor``               to any conductor
``conductor.HOST``          to the conductor of a host
``compute.HOST``            to the compute of a host
``compute_peer.HOST``       the same from another compute: only the methods
                            that computes may call. It is a second routing key
                            of the queue ``compute.HOST``
``reply_SERVICE.HOST.UUID`` answers to one process
=========================== =================================================
"""

import dataclasses
from typing import Final

from minova import clock

#: The exchange of RPC; notifications go to another (conf/notifications). Each
#: virtual host has it, and RabbitMQ lets no account delete it or declare it
#: with other properties.
EXCHANGE: Final = 'amq.topic'

#: The topics whose servers also send to each other, and the topic for that.
PEER_TOPICS: Final = {'compute': 'compute_peer'}


@dataclasses.dataclass(frozen=True)
class Queue:
    """A queue and the routing keys by which it is bound to the exchange."""

    name: str
    keys: tuple[str, ...]


def queues(topic: str, server: str) -> tuple[Queue, ...]:
    """Return the queues of a server.

    The servers of a topic share one queue, unless each message names its
    host.
    """
    own = f'{topic}.{server}'
    if topic in PEER_TOPICS:
        return (Queue(own, (own, f'{PEER_TOPICS[topic]}.{server}')),)
    return Queue(topic, (topic,)), Queue(own, (own,))


def is_peer_key(key: str) -> bool:
    """Tell whether a message with this routing key comes from a peer."""
    return key.partition('.')[0] in PEER_TOPICS.values()


def is_reply_key(key: str) -> bool:
    """Tell whether a message with this routing key is an answer."""
    return key.startswith('reply_')


def reply_queue(service: str, host: str, process: str) -> str:
    """Return the queue of the answers to a process, and its routing key."""
    return f'reply_{service}.{host}.{process}'


def new_reply_queue(service: str, host: str) -> str:
    """Return the name of a reply queue that no other process has."""
    return reply_queue(service, host, clock.uuid4())
