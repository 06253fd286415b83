# SPDX-License-Identifier: Apache-2.0
"""Serial consoles: the proxy, and the listeners of hosts."""

import socket
import ssl

import fixtures

from minova import clock
from minova import exception
from minova.compute import console_listener
from minova.console import guest_connection
from minova.context import get_admin_context
from minova.serving import acceptor
from minova.serving import certificate
from minova.virt import simulated_console
from tests.fixtures.vnc import token_of
from tests.functional.test_vnc_proxy import ProxyTestCase

SERIAL = {'remote_console': {'protocol': 'serial', 'type': 'serial'}}


class SerialTestCase(ProxyTestCase):
    """A server on a host with serial consoles."""

    wanted = SERIAL

    def setUp(self):
        super().setUp()
        self.config('serial_console', enabled=True, proxyclient_port=0)
        self.config(
            'serial_console', base_url='ws://{}:{}/'.format(*self.place)
        )
        self.restart()

    def restart(self):
        """Start the compute again, as with a new configuration."""
        if 'a' in self.cloud.computes:
            self.cloud.stop(self.cloud.computes['a'])
        self.cloud.start_compute('a')
        self.cloud.wait_registered('a')

    def request(self, client=None, version='2.6', body=SERIAL):
        client = (client or self.user).at_version(version)
        return client.post(f'/servers/{self.uuid}/remote-consoles', body)

    def greeting(self):
        return self.uuid.encode()

    def offered(self):
        """Return the endpoint that a proxy gets for a new token."""
        return guest_connection.Endpoint.from_reply(
            self.cloud.conductor.check_console(
                get_admin_context(), token=token_of(self.url())
            )
        )


class SerialProxyTest(SerialTestCase):
    """A client with a token reaches the serial port."""

    def test_bytes_go_both_ways(self):
        self.assert_relays(self.greeted())

    def test_terminals_send_texts(self):
        browser = self.greeted()
        browser.send('r\u00e9\r')
        self.assertEqual('r\u00e9\r'.encode(), browser.recv(timeout=10))

    def test_legacy_action(self):
        reply = self.user.act(
            self.uuid, 'os-getSerialConsole', {'type': 'serial'}
        )
        self.assertEqual(200, reply.status, reply.body)
        console = reply.body['console']
        self.assertEqual('serial', console['type'])
        self.assertTrue(console['url'].startswith('ws://127.0.0.1:'))
        self.greeted(console['url'])

    def test_token_opens_the_console_again(self):
        url = self.url()
        self.greeted(url).close()
        self.greeted(url)
        self.assert_refused(403, 'not valid', url + 'x')

    def test_token_lookup(self):
        token = token_of(self.url())
        reply = self.admin.at_version('2.31').get(
            f'/os-console-auth-tokens/{token}'
        )
        self.assertEqual(200, reply.status, reply.body)
        console = reply.body['console']
        self.assertEqual('127.0.0.1', console['host'])
        self.assertTrue(console['internal_access_path'].startswith('/'))

    def test_stopped_server(self):
        url = self.url()
        self.user.act(self.uuid, 'os-stop')
        self.cloud.settle(self.uuid)
        self.assert_refused(409, 'does not run', url)
        reply = self.request()
        self.assertEqual(409, reply.status, reply.body)

    def test_disabled(self):
        self.config('serial_console', enabled=False)
        self.restart()
        reply = self.request()
        self.assertEqual(400, reply.status, reply.body)
        self.assertEqual('Unavailable console type serial.', reply.message)

    def test_other_protocols(self):
        for protocol, kind in (('serial', 'novnc'), ('vnc', 'serial')):
            wanted = {'protocol': protocol, 'type': kind}
            reply = self.request(body={'remote_console': wanted})
            text = f'Unavailable console type {kind}.'
            self.assertEqual((400, text), (reply.status, reply.message))

    def test_host_stops(self):
        browser = self.greeted()
        self.cloud.stop(self.cloud.computes['a'])
        self.assert_ended(browser, 1000)

    def test_the_server_is_deleted(self):
        browser = self.greeted()
        self.user.act(self.uuid, 'forceDelete')
        self.assert_ended(browser, 1008)

    def test_browser_closes(self):
        opened = []
        connect = simulated_console.connect

        def spy(uuid):
            opened.append(connect(uuid))
            return opened[-1]

        self.patch(simulated_console, 'connect', spy)
        self.greeted().close()
        self.cloud.wait_for(lambda: opened[0].fileno() == -1)
        self.cloud.wait_for(lambda: not self.proxy._relays)

    def test_another_machine(self):
        url = self.url()
        elsewhere = '/proc/sys/kernel/random/uuid'
        self.useFixture(
            fixtures.MonkeyPatch('minova.machine_id._BOOT_ID_PATH', elsewhere)
        )
        self.assert_refused(502, 'cannot reach the console', url)
        self.assertIn('[serial_console] proxyclient_address', self.log.output)


class ListenerTest(SerialTestCase):
    """The listener serves those with a path only."""

    def open(self, endpoint):
        made = guest_connection.connect(endpoint, 5)
        self.addCleanup(made.close)
        made.settimeout(10)
        return made

    def assert_closed(self, text, endpoint):
        error = self.assertRaises(ConnectionError, self.open, endpoint)
        self.assertIn(text, str(error))

    def test_path_is_valid_once(self):
        endpoint = self.offered()
        self.assertIn(self.uuid.encode(), self.open(endpoint).recv(1000))
        self.assert_closed('403', endpoint)

    def test_path_expires(self):
        self.patch(console_listener, 'KEY_TTL', 0.1)
        endpoint = self.offered()
        clock.sleep(0.2)
        self.assert_closed('403', endpoint)

    def test_paths_are_bounded(self):
        self.patch(console_listener, 'MAX_KEYS', 2)
        first, second, third = (self.offered() for _ in range(3))
        # The URL of each has used one too.
        self.assert_closed('403', first)
        self.assert_closed('403', second)
        self.open(third)

    def test_certificate_of_another_host(self):
        """Nothing is sent to it, the path neither."""
        endpoint = self.offered()
        path = f'{self.directory}/other.pem'
        certificate.ensure_certificate(path, 'other')
        tls = certificate.server_context(path)
        received = []
        with socket.create_server(('127.0.0.1', 0)) as listener:

            def serve():
                plain, _ = listener.accept()
                with tls.wrap_socket(plain, server_side=True) as secured:
                    received.append(secured.recv(1000))

            serving = clock.spawn('other', serve)
            wrong = guest_connection.Endpoint(
                **endpoint.__dict__ | {'port': listener.getsockname()[1]}
            )
            self.assert_closed('another certificate', wrong)
            serving.join()
        self.assertEqual([b''], received)

    def test_malformed_requests(self):
        endpoint = self.offered()
        for request in (
            b'GET / HTTP/1.1\r\n\r\n',
            b'CONNECT / HTTP/1.1\r\n\r\n',
            b'CONNECT /' + b'x' * 43 + b' HTTP/1.1\r\n\r\n',
            b'\xff\r\n\r\n',
        ):
            address = (endpoint.host, endpoint.port)
            with (
                socket.create_connection(address, 10) as plain,
                certificate.client_context().wrap_socket(plain) as secured,
            ):
                secured.sendall(request)
                self.assertIn(b'403', secured.recv(1000), request)
        # The path of the console is valid still.
        self.open(endpoint)

    def test_silent_peers_are_disconnected(self):
        self.patch(acceptor, 'OPENING_TIMEOUT', 0.1)
        endpoint = self.offered()
        address = (endpoint.host, endpoint.port)
        with socket.create_connection(address, 20) as plain:
            self.assertEqual(b'', plain.recv(1))
        with (
            socket.create_connection(address, 20) as plain,
            certificate.client_context().wrap_socket(plain) as secured,
            self.assertRaisesRegex(OSError, ''),
        ):
            secured.sendall(b'CONNECT /')
            if not secured.recv(1):
                raise ssl.SSLEOFError('closed')

    def test_guest_that_went_off(self):
        endpoint = self.offered()
        self.user.act(self.uuid, 'os-stop')
        self.cloud.settle(self.uuid)
        self.assert_closed('502', endpoint)

    def test_port_in_use(self):
        with socket.create_server(('127.0.0.1', 0)) as taken:
            port = taken.getsockname()[1]
            self.config('serial_console', proxyclient_port=port)
            service = self.cloud.compute_service('a')
            error = self.assertRaises(exception.ConfigInvalid, service.start)
        self.assertIn('proxyclient_port', str(error))
