# SPDX-License-Identifier: Apache-2.0
"""1,000 slow and half-open connections on a port delay no other."""

import contextlib
import resource
import socket
import subprocess
import sys

from minova import clock
from minova.serving import certificate
from tests.fixtures.servers import ports
from tests.integration.allinone import AllInOneTestCase

#: The connections of the attack.
COUNT = 1000
#: The open files of a service, the default of most machines.
_OPEN_FILES = 1024
#: Seconds in which another client gets its answer. It takes milliseconds; on a
#: busy machine the limit guards against a service that does not answer at all.
_PATIENCE = 10

_TRANSFER_SERVER = """
import socket, sys, time
from minova.serving import certificate
from minova.virt.transfer.server import TransferServer

class Storage:
    def incoming_directory(self, uuid):
        return f'{sys.argv[1]}/{uuid}'

pem = f'{sys.argv[1]}/transfer.pem'
certificate.ensure_certificate(pem, 'b')
listener = socket.create_server(('127.0.0.1', 0), backlog=64)
server = TransferServer(Storage(), listener, certificate.server_context(pem))
server.start()
print(server.port, flush=True)
sys.stdin.read()
server.stop()
"""


class SlowConnectionsTest(AllInOneTestCase):
    """The attack comes from ten addresses, then from that of the others."""

    def setUp(self):
        super().setUp()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(
            resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard)
        )
        self.limits = (min(hard, 20000), hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, hard))

    def attack(self, address, beginnings):
        """Open the connections; each sends the next beginning."""
        resource.setrlimit(resource.RLIMIT_NOFILE, self.limits)
        for number in range(COUNT):
            source = (
                f'127.0.0.{2 + number % 10}' if number < COUNT // 2 else ''
            )
            client = socket.create_connection(
                address, 60, (source, 0) if source else None
            )
            self.addCleanup(client.close)
            with contextlib.suppress(OSError):
                # The service may have closed it already.
                client.sendall(beginnings[number % len(beginnings)])

    def assert_served(self, ask):
        """Check that other clients get their answer."""
        for _ in range(5):
            began = clock.monotonic()
            ask()
            self.assertLess(clock.monotonic() - began, _PATIENCE)

    def get(self, address, path, wrap=None):
        """Return the status of a request on a new connection."""
        plain = socket.create_connection(address, _PATIENCE)
        with plain if wrap is None else wrap(plain) as client:
            client.sendall(
                f'GET {path} HTTP/1.1\r\nHost: x\r\n'
                'Connection: close\r\n\r\n'.encode()
            )
            with client.makefile('rb') as reader:
                return int(reader.readline().split()[1])

    def test_api_and_console_proxy(self):
        port = ports.Port()
        self.addCleanup(port.release)
        proxy = ('127.0.0.1', port.number)
        service = self.start('--hypervisor=fake', f'--vnc-port={port.number}')
        api = self.address(service, 'is ready at http://')
        self.attack(
            api,
            [
                b'',
                b'GET / HTTP/1.1\r\nHost: x\r\n',
                (
                    b'POST /v2.1/servers HTTP/1.1\r\nHost: x\r\n'
                    b'Content-Length: 50000000000\r\n\r\nx'
                ),
                (
                    b'POST /identity/v3/auth/tokens HTTP/1.1\r\nHost: x\r\n'
                    b'Content-Type: application/json\r\n'
                    b'Content-Length: 100\r\n\r\n{'
                ),
            ],
        )
        self.assert_served(
            lambda: self.assertEqual(200, self.get(api, '/v2.1'))
        )
        self.attack(
            proxy, [b'', b'GET /vnc_auto.html HTTP/1.1\r\nHost: x\r\n']
        )
        self.assert_served(
            lambda: self.assertEqual(404, self.get(proxy, '/nothing'))
        )
        # Both attacks last.
        self.assert_served(
            lambda: self.assertEqual(200, self.get(api, '/v2.1'))
        )

    def test_transfer_endpoint(self):
        process = subprocess.Popen(
            [sys.executable, '-c', _TRANSFER_SERVER, self.directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.addCleanup(process.wait, 60)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stdin.close)
        address = ('127.0.0.1', int(process.stdout.readline()))
        context = certificate.client_context()
        self.attack(address, [b'', b'\x16\x03\x01'])
        for _ in range(100):
            secured = context.wrap_socket(
                socket.create_connection(address, _PATIENCE)
            )
            self.addCleanup(secured.close)
        path = '/v1/11111111-2222-4333-8444-555555555555'
        self.assert_served(
            lambda: self.assertIn(
                self.get(address, path, context.wrap_socket), (403, 501)
            )
        )

    def address(self, service, before):
        """Return the address after some words of the log."""
        url = service.log_text().partition(before)[2].split()[0]
        host, _, port = url.strip('/').rpartition(':')
        return host, int(port)
