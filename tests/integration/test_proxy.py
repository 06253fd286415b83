# SPDX-License-Identifier: Apache-2.0
"""The TCP proxy of the tests, used by a client of an echo server."""

import socket
import socketserver
import threading

from tests import base
from tests.fixtures.proxy import Network


class Echo(socketserver.BaseRequestHandler):
    """An echo server."""

    def handle(self):
        while data := self.request.recv(1000):
            self.request.sendall(data)


class LinkTest(base.TestCase):
    """A link to a server that echoes."""

    def setUp(self):
        super().setUp()
        self.server = socketserver.ThreadingTCPServer(('127.0.0.1', 0), Echo)
        thread = threading.Thread(target=self.server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.network = self.useFixture(Network())
        self.link = self.network.link(self.server.server_address[1])

    def connect(self):
        client = socket.create_connection(('127.0.0.1', self.link.port), 5)
        self.addCleanup(client.close)
        return client

    def echo(self, client, data=b'hello'):
        client.sendall(data)
        return client.recv(1000)

    def assert_ended(self, client):
        try:
            self.assertEqual(b'', client.recv(1000))
        except ConnectionResetError:
            return

    def test_passes_through(self):
        self.assertEqual(b'hello', self.echo(self.connect()))
        self.assertEqual(1, self.link.connections())

    def test_cut(self):
        client = self.connect()
        self.echo(client)
        self.link.cut()
        self.assert_ended(client)
        self.assertEqual(b'hello', self.echo(self.connect()))

    def test_refuse(self):
        client = self.connect()
        self.echo(client)
        self.link.refuse()
        self.assert_ended(client)
        self.assertRaises(ConnectionRefusedError, self.connect)
        self.link.clear_faults()
        self.assertEqual(b'hello', self.echo(self.connect()))

    def test_freeze(self):
        client = self.connect()
        self.echo(client)
        self.link.freeze()
        other = self.connect()
        for one in (client, other):
            one.sendall(b'late')
            one.settimeout(0.2)
            self.assertRaises(TimeoutError, one.recv, 1000)
        self.link.clear_faults()
        for one in (client, other):
            one.settimeout(5)
            self.assertEqual(b'late', one.recv(1000))

    def test_cut_while_frozen(self):
        client = self.connect()
        self.echo(client)
        self.link.freeze()
        other = self.connect()
        other.settimeout(0.2)
        self.assertRaises(TimeoutError, other.recv, 1000)
        other.settimeout(5)
        self.link.cut()
        self.assert_ended(client)
        self.assert_ended(other)

    def test_the_server_is_away(self):
        self.server.shutdown()
        self.server.server_close()
        self.assert_ended(self.connect())
