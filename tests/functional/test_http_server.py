# SPDX-License-Identifier: Apache-2.0
"""An HTTP server that ends while clients are connected, or connect."""

import collections
import socket
import threading

from minova import clock
from minova.api.http import errors
from minova.serving import http_server
from tests import base
from tests.fixtures.servers import ports

_ANSWERED = b'HTTP/1.1 200'
_REQUEST = b'GET / HTTP/1.1\r\nHost: here\r\n\r\n'


def answer(environ, start_response):
    """Answer each request with 200."""
    start_response('200 OK', [('Content-Length', '2')])
    return [b'ok']


class StopTest(base.TestCase):
    """Connected clients get answers; new connections are refused."""

    def setUp(self):
        super().setUp()
        self.bound = http_server.listen('127.0.0.1', 0)
        self.address = self.bound.getsockname()
        self.server = http_server.HttpServer(
            answer, self.bound, 2, 1000, errors.error_body
        )
        self.addCleanup(self.server.stop)

    def connect(self):
        client = socket.create_connection(self.address, timeout=10)
        self.addCleanup(client.close)
        return client

    def end(self):
        """Stop the server as a master and a worker do."""
        http_server.refuse_connections(self.bound.dup())
        return clock.spawn('end', self.server.stop)

    def assert_answered(self, client):
        with client.makefile('rb') as reader:
            self.assertEqual(b'HTTP/1.1 200 OK\r\n', reader.readline())

    def test_new_connection_is_closed(self):
        self.server.start()
        client = self.connect()
        ending = self.end()
        clock.sleep(0.5)
        client.sendall(_REQUEST)
        self.assert_answered(client)
        ending.join(5)
        self.assertFalse(ending.is_alive())

    def test_request_in_progress_is_answered(self):
        self.server.start()
        client = self.connect()
        client.sendall(_REQUEST[:20])
        clock.sleep(0.2)
        ending = self.end()
        clock.sleep(0.5)
        client.sendall(_REQUEST[20:])
        self.assert_answered(client)
        ending.join(5)
        self.assertFalse(ending.is_alive())

    def test_backlog_is_answered(self):
        # The kernel accepts the connections before the server starts, and
        # the server stops immediately.
        clients = [self.connect() for _ in range(5)]
        for client in clients:
            client.sendall(_REQUEST)
        self.patch(self.server._loop, '_turn', lambda: clock.sleep(0.01))
        self.server.start()
        self.end()
        for client in clients:
            self.assert_answered(client)

    def test_idle_connection_does_not_delay_stop(self):
        self.server.start()
        self.connect()
        began = clock.monotonic()
        self.end().join(10)
        self.assertLess(clock.monotonic() - began, 5)
        self.assertRaises(ConnectionRefusedError, self.connect)

    def test_no_connection_is_accepted_unserved(self):
        self.server.start()
        http_server.refuse_connections(self.bound.dup())
        # Neither accepted nor refused: the client retries after a second.
        self.assertRaises(
            TimeoutError, socket.create_connection, self.address, 0.3
        )
        self.server.stop()
        self.assertRaises(ConnectionRefusedError, self.connect)


class RestartTest(base.TestCase):
    """Clients connect continuously while servers are replaced."""

    rounds = 40

    def setUp(self):
        super().setUp()
        self.over = threading.Event()
        self.seen = collections.Counter()

    def request(self, address):
        while not self.over.is_set():
            try:
                with socket.create_connection(address, timeout=10) as client:
                    client.sendall(_REQUEST)
                    self.seen[client.recv(12)] += 1
            except OSError as error:
                self.seen[type(error)] += 1

    def wait_for_an_answer(self):
        """Wait until a client got an answer, also on a busy machine."""
        before, until = self.seen[_ANSWERED], clock.monotonic() + 10
        while self.seen[_ANSWERED] == before:
            self.assertLess(clock.monotonic(), until)
            clock.sleep(0.01)
        clock.sleep(0.02)

    def test_connection_during_restart(self):
        # No status that a client may get at the end of a server.
        port = ports.Port()
        self.addCleanup(port.release)
        self.addCleanup(self.over.set)
        address = ('127.0.0.1', port.number)
        clients = [
            clock.spawn('client', self.request, address) for _ in range(6)
        ]
        for _ in range(self.rounds):
            bound = http_server.listen(*address)
            server = http_server.HttpServer(
                answer, bound, 2, 1000, errors.error_body
            )
            server.start()
            self.wait_for_an_answer()
            http_server.refuse_connections(bound.dup())
            server.stop()
        self.over.set()
        for client in clients:
            client.join()
        answered = self.seen.pop(_ANSWERED)
        self.assertGreaterEqual(answered, self.rounds)
        self.seen.pop(ConnectionRefusedError, None)
        self.assertEqual({}, dict(self.seen))
