# SPDX-License-Identifier: Apache-2.0
"""An acceptor gives a thread to connections that have sent a request."""

import errno
import queue
import socket

from minova import clock
from minova import loops
from minova.serving import acceptor
from tests import base

_REQUEST = b'GET / HTTP/1.1\r\n\r\n'


class Listener(socket.socket):
    """A listening socket whose first calls of ``accept`` fail."""

    def __init__(self, *errors):
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)
        self.bind(('127.0.0.1', 0))
        self.listen(100)
        self.errors = list(errors)

    def accept(self):
        if self.errors:
            raise self.errors.pop(0)
        return super().accept()


class AcceptorTest(base.TestCase):
    """Requests are answered with ``ok``."""

    def setUp(self):
        super().setUp()
        self.patch(loops, 'BACK_OFF', (0.01, 0.01))
        self.served = queue.Queue()
        self.is_trusted = False

    def serve(self, opening, address):
        opening.socket.recv(1000)
        if self.is_trusted:
            self.acceptor.trust(opening.socket)
        self.served.put(opening.socket)
        opening.socket.sendall(b'ok')
        # Until the peer disconnects, or is disconnected.
        opening.socket.recv(1000)

    def start(self, *errors):
        self.listener = Listener(*errors)
        self.address = self.listener.getsockname()
        self.acceptor = acceptor.Acceptor(
            'probe', self.listener, acceptor.PlainOpening, self.serve
        )
        self.acceptor.start()
        self.addCleanup(self.stop)

    def stop(self):
        self.acceptor.stop_accepting()
        self.acceptor.close_connections()

    def connect(self, sent=b''):
        client = socket.create_connection(self.address, 30)
        self.addCleanup(client.close)
        client.sendall(sent)
        return client

    def assert_answered(self, client):
        self.assertEqual(b'ok', client.recv(2))

    def assert_ended(self, client):
        try:
            self.assertEqual(b'', client.recv(1))
        except ConnectionResetError as error:
            # The peer had sent something.
            self.assertEqual(errno.ECONNRESET, error.errno)

    def test_in_pieces(self):
        self.start()
        client = self.connect(_REQUEST[:5])
        self.assertRaises(queue.Empty, self.served.get, timeout=0.2)
        client.sendall(_REQUEST[5:])
        self.assert_answered(client)

    def test_errors_of_accept(self):
        self.start(
            OSError(errno.EMFILE, 'Too many open files'),
            OSError(errno.ENOBUFS, 'No buffer space available'),
            ValueError('surprise'),
        )
        self.assert_answered(self.connect(_REQUEST))

    def test_no_file_is_free(self):
        """An idle connection makes way."""
        self.start()
        idle = self.connect()
        self.assert_answered(self.connect(_REQUEST))
        self.listener.errors.append(OSError(errno.EMFILE, 'Too many'))
        self.assert_answered(self.connect(_REQUEST))
        self.assert_ended(idle)

    def test_oldest_makes_way(self):
        self.patch(acceptor, 'MAX_UNTRUSTED', 4)
        self.start()
        first, second = self.connect(), self.connect(_REQUEST)
        self.assert_ended(first)
        self.assert_answered(second)
        # Also one that has sent a request, but is not authenticated.
        self.assert_answered(self.connect(_REQUEST))
        self.assert_ended(second)
        self.assertIn('the oldest connection', self.log.output)

    def test_trusted(self):
        self.patch(acceptor, 'MAX_UNTRUSTED', 4)
        self.patch(acceptor, '_TRUST_TIMEOUT', 0.0)
        self.is_trusted = True
        self.start()
        clients = []
        for _ in range(8):
            clients.append(self.connect(_REQUEST))
            self.assert_answered(clients[-1])
        clients[0].settimeout(1)
        self.assertRaises(TimeoutError, clients[0].recv, 1)

    def test_deadlines(self):
        self.patch(acceptor, 'OPENING_TIMEOUT', 0.1)
        self.patch(acceptor, '_TRUST_TIMEOUT', 0.1)
        self.start()
        self.assert_ended(self.connect(b'GET'))
        client = self.connect(_REQUEST)
        self.assert_answered(client)
        self.assert_ended(client)

    def test_no_request(self):
        self.start()
        self.assert_ended(self.connect(b'x' * 20000))
        half = self.connect(b'GET')
        half.shutdown(socket.SHUT_WR)
        self.assert_ended(half)
        self.assertTrue(self.served.empty())

    def test_no_thread_is_free(self):
        self.start()
        real = acceptor.clock.spawn

        def spawn(*args):
            self.patch(acceptor.clock, 'spawn', real)
            raise RuntimeError("can't start new thread")

        self.patch(acceptor.clock, 'spawn', spawn)
        self.assert_ended(self.connect(_REQUEST))
        self.assert_answered(self.connect(_REQUEST))

    def test_lost_listener(self):
        """The health check ends the process."""
        self.start()
        self.listener.shutdown(socket.SHUT_RDWR)
        until = clock.monotonic() + 30
        while 'probe' not in loops.find_dead():
            self.assertLess(clock.monotonic(), until)
            clock.sleep(0.01)

    def test_stop(self):
        self.start()
        idle, busy = self.connect(), self.connect(_REQUEST)
        self.assert_answered(busy)
        self.stop()
        self.assert_ended(idle)
        self.assert_ended(busy)
        self.assertRaises(ConnectionRefusedError, self.connect)
