# SPDX-License-Identifier: Apache-2.0
"""Messages while one of two RPC servers ends, over a real broker."""

import concurrent.futures
import queue
import subprocess
import sys
import threading

from minova import clock
from minova import exception
from minova.rpc.bus import Message
from minova.rpc.oslo_bus import OsloBus
from tests import base
from tests.fixtures import servers

#: A process that receives one message, prints that, and never answers.
_TAKES = """
import sys, time
from minova.conf import CONF
from minova.rpc.oslo_bus import OsloBus

def take(method, context, arguments):
    print('taken', flush=True)
    time.sleep(600)

CONF([], project='minova', default_config_files=[])
bus = OsloBus(sys.argv[1])
bus.serve('topic', 'first', '1.0', ['ask'], take, late_ack=True).start()
print('ready', flush=True)
time.sleep(600)
"""


class BusTestCase(base.TestCase):
    """Two RPC servers on one topic, the first of which ends."""

    def setUp(self):
        super().setUp()
        broker = servers.shared(servers.RabbitMQ)
        self.addCleanup(broker.delete_vhost, self.id())
        self.url = broker.vhost(self.id())
        self.taken = threading.Event()
        self.go_on = threading.Event()
        self.addCleanup(self.go_on.set)
        self.received = []

    def bus(self):
        made = OsloBus(self.url)
        self.addCleanup(made.close)
        return made

    def serve(self, name, late_ack=False):
        """Start an RPC server that answers with its name."""

        def answer(method, context, arguments):
            self.received.append(name)
            if arguments['slowly']:
                self.taken.set()
                self.go_on.wait()
            return {'name': name}

        server = self.bus().serve(
            'topic', name, '1.0', ['ask'], answer, late_ack
        )
        server.start()
        return server

    def call(self, bus, slowly=False):
        arguments = {'slowly': slowly}
        message = Message('topic', None, 'ask', '1.0', arguments, {}, 30)
        return bus.call(message)['name']


class EndingTest(BusTestCase):
    """The first server stops."""

    def test_the_other_one_answers(self):
        asking = self.bus()
        # The broker delivers the messages round robin.
        first = self.serve('first')
        with concurrent.futures.ThreadPoolExecutor() as pool:
            slow = pool.submit(self.call, asking, slowly=True)
            self.assertTrue(self.taken.wait(10))
            second = self.serve('second')
            self.addCleanup(second.stop)
            ending = pool.submit(first.stop)
            try:
                self.wait_until_answered_by('second', asking)
                self.assertFalse(ending.done())
            finally:
                self.go_on.set()
            ending.result(60)
        self.assertEqual('first', slow.result())

    def wait_until_answered_by(self, name, asking):
        """Wait until one server alone gets the messages."""
        until = clock.monotonic() + 60
        names = set()
        while names != {name}:
            self.assertLess(clock.monotonic(), until, names)
            names = {self.call(asking) for _ in range(10)}

    def stops_under_load(self, late_ack):
        asking = self.bus()
        first = self.serve('first', late_ack)
        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            self.addCleanup(self.serve('second', late_ack).stop)
            asked = [pool.submit(self.call, asking) for _ in range(200)]
            first.stop()
            asked += [pool.submit(self.call, asking) for _ in range(50)]
            names = [one.result() for one in asked]
        self.assertIn('second', names)
        # Each message was answered by the one server that received it.
        self.assertEqual(sorted(names), sorted(self.received))

    def test_received_message_is_answered(self):
        self.stops_under_load(late_ack=False)

    def test_late_acked_message_is_answered_once(self):
        self.stops_under_load(late_ack=True)


class DyingTest(BusTestCase):
    """The first server is killed."""

    def setUp(self):
        super().setUp()
        self.asking = self.bus()
        self.answers = queue.SimpleQueue()

    def call_in_thread(self):
        def ask():
            try:
                self.answers.put(self.call(self.asking))
            except exception.Unavailable as error:
                self.answers.put(str(error))

        clock.spawn('ask', ask)

    def serve_in_process(self):
        """Start a process that receives a message and does not answer."""
        process = subprocess.Popen(
            [sys.executable, '-c', _TAKES, self.url],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertEqual('ready\n', process.stdout.readline())
        return process

    def assert_taken(self, process):
        self.assertEqual('taken\n', process.stdout.readline())

    def test_other_server_is_called(self):
        crashing = self.serve_in_process()
        self.call_in_thread()
        self.assert_taken(crashing)
        self.addCleanup(self.serve('second', late_ack=True).stop)
        crashing.kill()
        self.assertEqual('second', self.answers.get(timeout=5))

    def test_poison_message_does_not_kill_all(self):
        first = self.serve_in_process()
        self.call_in_thread()
        self.assert_taken(first)
        second = self.serve_in_process()
        first.kill()
        self.assert_taken(second)
        self.addCleanup(self.serve('third', late_ack=True).stop)
        second.kill()
        second.wait()
        # A redelivered message would come first.
        self.assertEqual('third', self.call(self.asking))
        self.assertEqual(['third'], self.received)
        self.asking.abort_calls_soon()
        self.assertIn('no answer', self.answers.get(timeout=20))
