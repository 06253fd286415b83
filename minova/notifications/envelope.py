# SPDX-License-Identifier: Apache-2.0
"""The message in which a consumer receives a notification."""

from typing import Any

import orjson

from minova.conf import CONF
from minova.db.queries.outbox import Notice
from minova.rpc.bus import Bus


def body(notice: Notice) -> dict[str, Any]:
    """Return the message without the request context."""
    return {
        'message_id': notice.message_id,
        'publisher_id': notice.publisher_id,
        'event_type': notice.event_type,
        'priority': notice.priority,
        'payload': notice.payload,
        'timestamp': f'{notice.created_at:%Y-%m-%d %H:%M:%S.%f}',
    }


def to_oslo_message(notice: Notice) -> dict[str, str]:
    """Return the message in oslo.messaging's envelope, version 2.

    It lacks ``_unique_id``, which oslo.messaging adds to each message.
    """
    context = {
        f'_context_{name}': value for name, value in notice.context.items()
    }
    text = orjson.dumps(body(notice) | context).decode()
    return {'oslo.version': '2.0', 'oslo.message': text}


def publish(bus: Bus, notice: Notice) -> None:
    """Publish a notification to each configured topic.

    Raises Unavailable when the broker has not confirmed it.
    """
    for topic in CONF.oslo_messaging_notifications.topics:
        bus.publish(
            CONF.notifications.exchange,
            f'{topic}.{notice.priority.lower()}',
            notice.context,
            body(notice),
        )
