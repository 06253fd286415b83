# SPDX-License-Identifier: Apache-2.0
"""Who listens to a queue, and how much waits in it: what AMQP itself tells.

A queue that is declared passively is not made; the broker answers with its
messages and consumers, or that it is not there. No plugin is needed. Other
transports cannot tell.
"""

from collections.abc import Iterable

import oslo_messaging
from oslo_messaging._drivers import impl_rabbit

from minova import exception
from minova.conf import CONF
from minova.rpc.named_queue import inspect_queue
from minova.rpc.named_queue import QueueStats
from minova.rpc.oslo_bus import EXCHANGE
from minova.rpc.rabbit_listener import is_outage


def get_queue_stats(
    names: Iterable[str], url: str | None = None
) -> dict[str, QueueStats | None] | None:
    """Return what the broker knows of each queue, None for one it does not.

    None altogether when the transport cannot tell. Raises Unavailable when
    the broker is away, or does not let this user look.
    """
    oslo_messaging.set_transport_defaults(EXCHANGE)
    transport = oslo_messaging.get_rpc_transport(CONF, url)
    try:
        driver = transport._driver
        if not isinstance(driver, impl_rabbit.RabbitDriver):
            return None
        # The library's connection knows all that is configured of the way to
        # the broker: nodes, TLS, logins. A copy is used, since a thread of
        # the library listens to the original and would take our answers.
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
