# SPDX-License-Identifier: Apache-2.0
"""The number of messages and consumers of queues, from RabbitMQ.

A passive declaration does not create a queue; the broker answers with the
figures of the queue, or that there is none. This needs no plugin of the
broker. Other transports do not have the figures.
"""

from collections.abc import Iterable

import oslo_messaging
from oslo_messaging._drivers import impl_rabbit

from minova import exception
from minova.conf import CONF
from minova.rpc.named_queue import inspect_queue
from minova.rpc.named_queue import QueueStats
from minova.rpc.rabbit_listener import is_outage
from minova.rpc.routes import EXCHANGE


def get_queue_stats(
    names: Iterable[str], url: str | None = None
) -> dict[str, QueueStats | None] | None:
    """Return the figures of each queue, None for a queue that is missing.

    Returns None for a transport without figures. Raises Unavailable when the
    broker is down, or refuses the user.
    """
    oslo_messaging.set_transport_defaults(EXCHANGE)
    transport = oslo_messaging.get_rpc_transport(CONF, url)
    try:
        driver = transport._driver
        if not isinstance(driver, impl_rabbit.RabbitDriver):
            return None
        # The library's connection has all settings: nodes, TLS, logins. A
        # thread of the library reads from it and would take the answers, so
        # this uses a copy.
        with driver._get_connection(retry=1) as connection:
            broker = connection.connection.connection.clone()
        with broker:
            channel = broker.channel()
            return {
                name: inspect_queue(broker, channel, name) for name in names
            }
    except Exception as error:
        if not isinstance(error, OSError) and not is_outage(error):
            raise
        raise exception.Unavailable(
            what='The message broker',
            reason=f'{type(error).__name__}: {error}',
        ) from error
    finally:
        transport.cleanup()
