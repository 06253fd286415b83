# SPDX-License-Identifier: Apache-2.0
import uuid


def message_id(instance, number):
    """Return the message_id of an instance's notification of that number."""
    return str(uuid.uuid5(uuid.UUID(instance), str(number)))


class Gaps:
    """The notifications that a consumer has not received yet."""

    def __init__(self, look_ahead=1000):
        self.newest = {}
        self.missing = set()
        self.look_ahead = look_ahead

    def add(self, notification):
        """Record a notification; return the missing ids before it."""
        instance = notification['payload']['instance_id']
        newest = self.newest.get(instance, 0)
        skipped = set()
        for number in range(newest + 1, newest + 1 + self.look_ahead):
            expected = message_id(instance, number)
            if expected == notification['message_id']:
                self.newest[instance] = number
                self.missing |= skipped
                return skipped
            skipped.add(expected)
        self.missing.discard(notification['message_id'])  # it arrived late
        return set()
