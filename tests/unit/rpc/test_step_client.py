# SPDX-License-Identifier: Apache-2.0
"""The client of step methods: casts, nested calls and pins."""

from minova import exception
from minova.context import Context
from minova.flows import interfaces
from tests import base
from tests.fixtures import senders


class Bus:
    """Keeps the messages and answers calls."""

    def __init__(self, reply=None):
        self.reply = reply
        self.sent = []

    def cast(self, message):
        self.sent.append(message)

    def call(self, message):
        self.sent.append(message)
        return self.reply


class StepClientTest(base.TestCase):
    """What the client of steps returns."""

    def test_a_nested_step_replies(self):
        bus = Bus(reply={'result': {'port': 1}})
        result = interfaces.step_client(bus, senders.control_plane()).send(
            Context(), 'compute', 'a', 'pre_live_migration', 's1'
        )
        self.assertEqual({'port': 1}, result)
        self.assertEqual(60, bus.sent[0].timeout)

    def test_a_cast_has_no_result(self):
        bus = Bus()
        result = interfaces.step_client(bus, senders.control_plane()).send(
            Context(), 'compute', 'a', 'start_instance', 's1'
        )
        self.assertIsNone(result)
        self.assertEqual({'step': 's1'}, bus.sent[0].arguments)

    def test_the_pin_excludes_a_newer_step(self):
        self.config(group='upgrade_levels', conductor='1.3')
        client = interfaces.step_client(Bus(), senders.control_plane())
        self.assertRaises(
            exception.UnsupportedVersion,
            client.send,
            Context(),
            'conductor',
            None,
            'migrate_server',
            's1',
        )
