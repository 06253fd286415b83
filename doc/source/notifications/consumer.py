# SPDX-License-Identifier: Apache-2.0
import json

import kombu

exchange = kombu.Exchange('nova', 'topic', durable=False)
queue = kombu.Queue('billing', exchange, 'notifications.info')
seen = set()


def receive(body, message):
    """Bill a notification once."""
    notification = json.loads(body['oslo.message'])
    if notification['message_id'] not in seen:
        seen.add(notification['message_id'])
        instance = notification['payload']['instance_id']
        print(notification['event_type'], instance)
    message.ack()


if __name__ == '__main__':
    with (
        kombu.Connection('amqp://guest:guest@localhost//') as connection,
        connection.Consumer([queue], callbacks=[receive]),
    ):
        while True:
            connection.drain_events()
