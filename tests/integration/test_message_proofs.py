# SPDX-License-Identifier: Apache-2.0
"""Proofs of messages over a real broker, with two conductors."""

import concurrent.futures
import dataclasses
import os
import subprocess
import sys

from minova import exception
from minova.conf import CONF
from minova.context import get_admin_context
from minova.db import migrate
from minova.db.connections import engine
from minova.engine import host_enrollment
from minova.engine.sender_keys import SenderKeys
from minova.exception import serialization
from minova.rpc import conductor
from minova.rpc.contract import Dispatcher
from minova.rpc.oslo_bus import OsloBus
from minova.rpc.proof import Sender
from minova.rpc.proof import Signer
from minova.rpc.signing import SigningKey
from minova.rpc.verifier import Verifier
from tests import base
from tests.fixtures import servers

#: A conductor that accepts one message, prints that, and never answers.
_TAKES = """
import sys, time
from minova.conf import CONF
from minova.db.connections import engine
from minova.engine.sender_keys import SenderKeys
from minova.rpc import conductor
from minova.rpc.contract import Dispatcher
from minova.rpc.oslo_bus import OsloBus
from minova.rpc.verifier import Verifier

class Takes:
    def heartbeat(self, context, **arguments):
        print('taken', flush=True)
        time.sleep(600)

CONF([], project='minova', default_config_files=[])
keys = SenderKeys(engine.connect(CONF, sys.argv[2]))
dispatcher = Dispatcher(
    conductor.INTERFACE, Takes(), Verifier(keys, keys), 'c0'
)
dispatcher.serve(OsloBus(sys.argv[1])).start()
print('ready', flush=True)
time.sleep(600)
"""


class RecordingBus:
    """A bus that keeps its last message, as who reads the broker does."""

    def __init__(self, bus):
        self._bus = bus
        self.last = None

    def call(self, message):
        self.last = message
        return self._bus.call(message)


class Conductor:
    """The methods of these tests."""

    def __init__(self):
        self.received = []

    def heartbeat(self, context, **arguments):
        self.received.append(context.request_id)
        return []

    def report_power_states(self, context, **arguments):
        self.received.append(context.request_id)


class MessageProofsTest(base.TestCase):
    """Messages of host a."""

    def setUp(self):
        super().setUp()
        broker = servers.shared(servers.RabbitMQ)
        self.addCleanup(broker.delete_vhost, self.id())
        self.url = broker.vhost(self.id())
        self.database_url = (
            f'sqlite:///{os.path.join(self.directory, "minova.sqlite")}'
        )
        self.database = engine.connect(CONF, self.database_url)
        self.addCleanup(self.database.dispose)
        migrate.sync(self.database)
        key = SigningKey.generate()
        self.database.write(
            lambda c: host_enrollment.enroll(c, 'a', key.public_key, None)
        )
        self.bus = RecordingBus(self.connect())
        self.conductor = Conductor()
        now = SenderKeys(self.database).now
        signer = Signer(key, Sender.COMPUTE, 'a', 'i1', now)
        self.client = conductor.client(self.bus, signer)

    def connect(self):
        made = OsloBus(self.url)
        self.addCleanup(made.close)
        return made

    def serve(self, name):
        keys = SenderKeys(self.database)
        server = Dispatcher(
            conductor.INTERFACE, self.conductor, Verifier(keys, keys), name
        ).serve(self.connect())
        server.start()
        self.addCleanup(server.stop)

    def beat(self):
        context = get_admin_context()
        self.client.heartbeat(
            context, host='a', incarnation='i1', hypervisor_error=None
        )
        return context.request_id

    def answer(self, message):
        """Send a message as it is; return the error of the answer."""
        answer = self.bus.call(message)
        return 'error' in answer and serialization.decode(answer['error'])

    def test_redelivery_after_the_death_of_a_conductor(self):
        first = subprocess.Popen(
            [sys.executable, '-c', _TAKES, self.url, self.database_url],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(first.stdout.close)
        self.addCleanup(first.wait)
        self.addCleanup(first.kill)
        self.assertEqual('ready\n', first.stdout.readline())
        with concurrent.futures.ThreadPoolExecutor() as pool:
            beaten = pool.submit(self.beat)
            self.assertEqual('taken\n', first.stdout.readline())
            self.serve('c1')
            first.kill()
            request_id = beaten.result()
        self.assertEqual([request_id], self.conductor.received)

    def test_a_copy_is_refused(self):
        self.serve('c0')
        self.beat()
        for _ in range(3):
            error = self.answer(self.bus.last)
            self.assertIsInstance(error, exception.MessageRefused)
            self.assertIn('it has arrived before', str(error))
        self.assertEqual(1, len(self.conductor.received))
        # A new message of the same content is none.
        self.beat()
        self.assertEqual(2, len(self.conductor.received))

    def test_a_copy_at_each_conductor(self):
        """Two conductors, to which the broker delivers in turn."""
        self.serve('c0')
        self.serve('c1')
        self.client.report_power_states(
            get_admin_context(), host='a', guests=[]
        )
        refused = [self.answer(self.bus.last) for _ in range(4)]
        self.assertEqual(1, len(self.conductor.received))
        for error in refused:
            self.assertIsInstance(error, exception.MessageRefused)

    def test_a_changed_message(self):
        self.serve('c0')
        self.beat()
        for arguments in ({'host': 'b'}, {'hypervisor_error': 'x'}):
            changed = dataclasses.replace(
                self.bus.last, arguments=self.bus.last.arguments | arguments
            )
            error = self.answer(changed)
            self.assertIn('signature', str(error))
        self.assertEqual(1, len(self.conductor.received))
