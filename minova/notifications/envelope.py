# SPDX-License-Identifier: Apache-2.0
"""A notification as consumers get it, whoever publishes it."""

from typing import Any

import orjson

from minova.conf import CONF
from minova.db.queries.outbox import Notice
from minova.rpc.bus import Bus


def body(notice: Notice) -> dict[str, Any]:
    """Return what is said, without the context in which it is."""
    return {
        'message_id': notice.message_id,
        'publisher_id': notice.publisher_id,
        'event_type': notice.event_type,
        'priority': notice.priority,
        'payload': notice.payload,
        'timestamp': f'{notice.created_at:%Y-%m-%d %H:%M:%S.%f}',
    }


def to_oslo_message(notice: Notice) -> dict[str, str]:
    """Return the message: oslo.messaging's envelope, version 2.

    Without ``_unique_id``, which oslo.messaging adds anew to every message.
    """
    context = {
        f'_context_{name}': value for name, value in notice.context.items()
    }
    text = orjson.dumps(body(notice) | context).decode()
    return {'oslo.version': '2.0', 'oslo.message': text}


def publish(bus: Bus, notice: Notice) -> None:
    """Hand a notification to the broker, for every topic that is configured.

    Raises Unavailable when the broker may not have it.
    """
    for topic in CONF.oslo_messaging_notifications.topics:
        bus.publish(
            CONF.notifications.exchange,
            f'{topic}.{notice.priority.lower()}',
            notice.context,
            body(notice),
        )
