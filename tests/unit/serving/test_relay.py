# SPDX-License-Identifier: Apache-2.0
"""The relay between two sockets."""

import contextlib
import socket
import threading

from minova import clock
from minova.serving import certificate
from minova.serving import relay
from tests import base

_BIG = bytes(range(256)) * 8192


def receive(end, size):
    """Receive ``size`` bytes, or fewer before the end."""
    found = b''
    while len(found) < size and (chunk := end.recv(65536)):
        found += chunk
    return found


class RelayTest(base.TestCase):
    """Two pairs of sockets, and a relay between their inner ends."""

    def setUp(self):
        super().setUp()
        self.left, self.inner_left = self.pair()
        self.right, self.inner_right = self.pair()

    def pair(self):
        pair = socket.socketpair()
        for end in pair:
            self.addCleanup(end.close)
            end.settimeout(20)
        return pair

    def start(self, *ends):
        ends = ends or (self.inner_left, self.inner_right)
        self.relaying = clock.spawn('relay', relay.relay, *ends)
        self.addCleanup(self.relaying.join)
        self.addCleanup(self.left.close)

    def assert_ended(self):
        self.relaying.join(20)
        self.assertFalse(self.relaying.is_alive())

    def test_both_directions_at_once(self):
        self.start()
        sender = clock.spawn('sender', self.left.sendall, _BIG)
        self.right.sendall(b'back')
        self.assertEqual(b'back', receive(self.left, 4))
        self.assertEqual(_BIG, receive(self.right, len(_BIG)))
        sender.join()

    def test_data_before_the_end_arrives(self):
        self.start()
        self.left.sendall(b'last')
        self.left.close()
        self.assert_ended()
        self.assertEqual(b'last', self.right.recv(10))

    def test_stalled_end(self):
        """Also while the other direction goes on."""
        self.patch(relay, 'STALL_TIMEOUT', 0.3)
        self.start()
        ended = threading.Event()

        def talk():
            while not ended.wait(0.05):
                self.right.send(b'x')

        talker = clock.spawn('talker', talk)
        self.addCleanup(talker.join)
        self.addCleanup(ended.set)
        # ``right`` reads nothing.
        self.left.settimeout(0.1)
        with self.assertRaises(OSError):
            while True:
                self.left.send(_BIG)
        self.left.settimeout(20)
        reader = clock.spawn('reader', self._drain)
        self.assert_ended()
        self.inner_left.close()
        reader.join()

    def _drain(self):
        with contextlib.suppress(ConnectionResetError):
            while self.left.recv(65536):
                continue

    def test_idle_connections_stay(self):
        self.patch(relay, 'STALL_TIMEOUT', 0.1)
        self.start()
        clock.sleep(0.5)
        self.left.sendall(b'still there')
        self.assertEqual(b'still there', receive(self.right, 11))

    def test_tls(self):
        path = f'{self.directory}/host.pem'
        certificate.ensure_certificate(path, 'a')
        server = certificate.server_context(path)
        client = certificate.client_context()
        secured = {}

        def shake():
            secured['server'] = server.wrap_socket(
                self.inner_left, server_side=True
            )

        shaking = clock.spawn('handshake', shake)
        outer = client.wrap_socket(self.left)
        self.addCleanup(outer.close)
        shaking.join()
        self.addCleanup(secured['server'].close)
        self.start(secured['server'], self.inner_right)
        self.addCleanup(outer.close)
        sender = clock.spawn('sender', self.right.sendall, _BIG)
        self.assertEqual(_BIG, receive(outer, len(_BIG)))
        sender.join()
        outer.sendall(b'back')
        self.assertEqual(b'back', receive(self.right, 4))
