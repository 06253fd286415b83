# SPDX-License-Identifier: Apache-2.0
"""What is sent while one of those who listen ends, over a real broker."""

import concurrent.futures
import threading

from minova.rpc.bus import Message
from minova.rpc.oslo import OsloBus
from tests import base
from tests.fixtures import servers


class EndingTest(base.TestCase):
    """Two listen to one topic; the one that is at work ends."""

    def setUp(self):
        super().setUp()
        broker = servers.shared(servers.RabbitMQ)
        self.addCleanup(broker.delete_vhost, self.id())
        self.url = broker.vhost(self.id())
        self.taken = threading.Event()
        self.go_on = threading.Event()
        self.addCleanup(self.go_on.set)

    def bus(self):
        made = OsloBus(self.url)
        self.addCleanup(made.close)
        return made

    def serve(self, name):
        """Have somebody listen who answers with its name."""

        def answer(method, context, arguments):
            if arguments['slowly']:
                self.taken.set()
                self.go_on.wait()
            return {'name': name}

        server = self.bus().serve('topic', name, '1.0', ['ask'], answer)
        server.start()
        return server

    def ask(self, bus, slowly=False):
        arguments = {'slowly': slowly}
        message = Message('topic', None, 'ask', '1.0', arguments, {}, 10)
        return bus.call(message)['name']

    def test_the_other_one_answers(self):
        asking = self.bus()
        # The broker gives each message to the next one in turn.
        first = self.serve('first')
        with concurrent.futures.ThreadPoolExecutor() as pool:
            slow = pool.submit(self.ask, asking, slowly=True)
            self.assertTrue(self.taken.wait(10))
            second = self.serve('second')
            self.addCleanup(second.stop)
            ending = pool.submit(first.stop)
            # Long enough for it to take no more.
            self.assertRaises(TimeoutError, ending.result, 1)
            names = {self.ask(asking) for _ in range(10)}
            self.assertEqual({'second'}, names)
            self.go_on.set()
            ending.result(10)
        self.assertEqual('first', slow.result())

    def test_what_was_taken_is_answered(self):
        asking = self.bus()
        first = self.serve('first')
        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            self.addCleanup(self.serve('second').stop)
            asked = [pool.submit(self.ask, asking) for _ in range(200)]
            first.stop()
            asked += [pool.submit(self.ask, asking) for _ in range(50)]
            names = {one.result() for one in asked}
        self.assertIn('second', names)
