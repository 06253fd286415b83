# SPDX-License-Identifier: Apache-2.0
import uuid


def message_id(instance, number):
    """Return the message_id of an instance's notification of that number."""
    return str(uuid.uuid5(uuid.UUID(instance), str(number)))


class Gaps:
    """What of a consumer's notifications has not come yet."""

    def __init__(self, look_ahead=1000):
        self.newest = {}
        self.missing = set()
        self.look_ahead = look_ahead

    def take(self, told):
        """Take a notification; return the ids that should have come before."""
        instance = told['payload']['instance_id']
        newest = self.newest.get(instance, 0)
        skipped = set()
        for number in range(newest + 1, newest + 1 + self.look_ahead):
            expected = message_id(instance, number)
            if expected == told['message_id']:
                self.newest[instance] = number
                self.missing |= skipped
                return skipped
            skipped.add(expected)
        self.missing.discard(told['message_id'])  # one of before
        return set()
