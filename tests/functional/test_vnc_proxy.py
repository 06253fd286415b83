# SPDX-License-Identifier: Apache-2.0
"""The console proxy between browsers and the VNC servers of guests."""

import contextlib
import errno
import os
import socket
import threading
import urllib.error
import urllib.request

import fixtures
from websockets import exceptions

from minova import clock
from minova.console import guest_connection
from minova.console.proxy import ConsoleProxy
from minova.db import tables
from minova.serving import acceptor
from minova.serving import http_server
from tests.fixtures.vnc import GREETING
from tests.fixtures.vnc import open_websocket
from tests.fixtures.vnc import VncServer
from tests.functional.api import base

VNC = {'remote_console': {'protocol': 'vnc', 'type': 'novnc'}}


class ProxyTestCase(base.ApiTestCase):
    """A server with a VNC console, and a proxy."""

    hosts = ('a',)
    #: The request for the console.
    wanted = VNC

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.uuid = self.boot()
        self.screen = self.useFixture(VncServer())
        self.cloud.world.set_graphics_endpoint('vnc', *self.screen.address)
        self.web = os.path.join(self.directory, 'novnc')
        self.config('vnc', watch_interval=0.1, web=self.web)
        self.bound = http_server.listen('127.0.0.1', 0)
        self.place = self.bound.getsockname()
        self.config('vnc', novncproxy_base_url=f'{self.origin}/vnc_auto.html')
        self.proxy = ConsoleProxy(self.bound, self.cloud.conductor)
        self.proxy.start()
        self.addCleanup(self.proxy.stop)

    @property
    def origin(self):
        return 'http://{}:{}'.format(*self.place)

    def url(self, uuid=None):
        path = f'/servers/{uuid or self.uuid}/remote-consoles'
        reply = self.user.at_version('2.6').post(path, self.wanted)
        self.assertEqual(200, reply.status, reply.body)
        return reply.body['remote_console']['url']

    def connect_browser(self, url=None, **options):
        """Connect as a browser; closed when the test ends."""
        made = open_websocket(url or self.url(), **options)
        self.addCleanup(made.close)
        return made

    def greeting(self):
        """Return what the guest sends first, or a part of it."""
        return GREETING

    def greeted(self, url=None, **options):
        """Connect and receive the greeting of the guest."""
        browser = self.connect_browser(url, **options)
        self.assertIn(self.greeting(), browser.recv(timeout=10))
        return browser

    def assert_relays(self, browser):
        """Check that several frames with all byte values come back."""
        self.assertEqual('binary', browser.subprotocol)
        sent = bytes(range(256)) * 2000
        browser.send(sent)
        received = b''
        while len(received) < len(sent):
            received += browser.recv(timeout=10)
        self.assertEqual(sent, received)

    def assert_refused(self, status, text, url=None, **options):
        """Check the status and the text of a refusal."""
        error = self.assertRaises(
            exceptions.InvalidStatus, self.connect_browser, url, **options
        )
        self.assertEqual(status, error.response.status_code)
        self.assertIn(text, error.response.body.decode())

    def assert_ended(self, browser, code):
        """Check that a connection ends, and its close code."""
        error = self.assertRaises(
            exceptions.ConnectionClosed, browser.recv, timeout=10
        )
        self.assertEqual(code, error.rcvd.code)


class ForwardingTest(ProxyTestCase):
    """A client with a token reaches the console."""

    def test_bytes_go_both_ways(self):
        self.assert_relays(self.greeted())

    def test_clients_need_not_name_a_subprotocol(self):
        browser = self.greeted(subprotocols=None)
        self.assertIsNone(browser.subprotocol)

    def test_several_at_a_time(self):
        url = self.url()
        browsers = [self.greeted(url) for _ in range(3)]
        for number, browser in enumerate(browsers):
            browser.send(b'%d' % number)
        for number, browser in enumerate(browsers):
            self.assertEqual(b'%d' % number, browser.recv(timeout=10))

    def test_at_a_unix_socket(self):
        path = os.path.join(self.directory, 'vnc')
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(path)
        listener.listen()
        guest = guest_connection.connect(
            guest_connection.Endpoint(
                '', 'novnc', 'a', None, path, None, None
            ),
            5,
        )
        self.addCleanup(guest.close)
        other, _ = listener.accept()
        self.addCleanup(other.close)
        other.sendall(GREETING)
        self.assertEqual(GREETING, guest.recv(100))

    def test_connection_outlives_the_token(self):
        browser = self.greeted()
        table = tables.console_tokens
        self.cloud.database.write(lambda c: c.execute(table.delete()))
        clock.sleep(0.3)
        browser.send(b'still there')
        self.assertEqual(b'still there', browser.recv(timeout=10))


class RefusedTest(ProxyTestCase):
    """Clients without a valid token or origin are refused."""

    def test_tokens(self):
        url = self.url()
        for wrong in (
            url + 'x',
            url.replace('token%3D', 'token%3Dx'),
            f'{self.origin}/vnc_auto.html?path=%3Ftoken%3D',
            f'{self.origin}/vnc_auto.html?path=websockify',
        ):
            self.assert_refused(403, 'The token is not valid', wrong)
        self.assertEqual([], self.screen.connections)
        self.greeted(url)

    def test_an_expired_one(self):
        self.config('vnc', token_ttl=1)
        url = self.url()
        self.greeted(url)
        clock.sleep(1.1)
        self.assert_refused(403, 'has expired', url)

    def test_token_of_deleted_server(self):
        url = self.url()
        self.user.delete(f'/servers/{self.uuid}')
        self.cloud.settle(self.uuid)
        self.assert_refused(403, 'its instance was deleted', url)

    def test_a_server_that_was_stopped(self):
        url = self.url()
        self.user.act(self.uuid, 'os-stop')
        self.cloud.settle(self.uuid)
        self.assert_refused(409, 'does not run', url)

    def test_pages_of_others(self):
        url = self.url()
        for origin in (
            'https://evil.example.org',
            'http://127.0.0.1:1',
            'null',
            f'{self.origin}.evil.example.org',
        ):
            self.assert_refused(403, 'origin', url, origin=origin)
        self.assertEqual([], self.screen.connections)
        self.greeted(url, origin=self.origin)

    def test_pages_that_are_allowed(self):
        url = self.url()
        dashboard = 'https://dashboard.example.org'
        self.assert_refused(403, 'allowed_origins', url, origin=dashboard)
        self.config('vnc', allowed_origins=[dashboard])
        self.greeted(url, origin=dashboard)
        # Behind a proxy that sets its own Host header.
        self.config(
            'vnc', novncproxy_base_url='https://screens.example.org/vnc.html'
        )
        self.greeted(url, origin='https://screens.example.org')
        self.greeted(url, origin='https://screens.example.org:443')

    def test_a_loopback_address_of_another_machine(self):
        """The port may belong to another process on this machine."""
        url = self.url()
        # A file with another content at each read.
        elsewhere = '/proc/sys/kernel/random/uuid'
        self.useFixture(
            fixtures.MonkeyPatch('minova.machine_id._BOOT_ID_PATH', elsewhere)
        )
        self.assert_refused(502, 'cannot reach the console', url)
        self.assertIn('server_listen', self.log.output)
        self.assertEqual([], self.screen.connections)

    def test_too_many(self):
        self.config('vnc', max_connections=1)
        url = self.url()
        browser = self.greeted(url)
        self.assert_refused(503, 'Too many', url)
        browser.close()
        self.cloud.wait_for(lambda: not self.proxy._relays)
        self.greeted(url)

    def test_no_conductor(self):
        url = self.url()
        self.cloud.stop(self.cloud.conductors['conductor0'])
        self.assert_refused(503, 'at this time', url)

    def test_tokens_are_not_logged(self):
        url = self.url()
        self.greeted(url)
        self.assert_refused(403, 'not valid', url + 'x')
        self.assertNotIn(url.rpartition('%3D')[2], self.log.output)


class EndedTest(ProxyTestCase):
    """A connection ends with the browser, the guest or the server."""

    def test_guest_closes(self):
        browser = self.greeted()
        self.screen.kill()
        self.assert_ended(browser, 1000)

    def test_browser_closes(self):
        browser = self.greeted()
        browser.close()
        (met,) = self.screen.connections
        self.cloud.wait_for(lambda: met.fileno() == -1)
        self.cloud.wait_for(lambda: not self.proxy._relays)

    def test_browser_vanishes(self):
        browser = self.greeted()
        browser.socket.shutdown(socket.SHUT_RDWR)
        (met,) = self.screen.connections
        self.cloud.wait_for(lambda: met.fileno() == -1)

    def test_the_server_is_deleted(self):
        other = self.boot()
        browser, stays = self.greeted(), self.greeted(self.url(other))
        # The guest keeps running, as on a host that is down.
        self.cloud.stop(self.cloud.computes['a'])
        self.user.act(self.uuid, 'forceDelete')
        self.assert_ended(browser, 1008)
        stays.send(b'still there')
        self.assertEqual(b'still there', stays.recv(timeout=10))

    def test_a_conductor_that_is_away_ends_nothing(self):
        browser = self.greeted()
        self.cloud.stop(self.cloud.conductors['conductor0'])
        clock.sleep(0.5)
        browser.send(b'still there')
        self.assertEqual(b'still there', browser.recv(timeout=10))

    def test_text_is_not_vnc(self):
        browser = self.greeted()
        browser.send('text')
        self.assert_ended(browser, 1003)

    def test_vnc_server_is_gone(self):
        url = self.url()
        self.screen.kill()
        browser = self.connect_browser(url)
        self.assert_ended(browser, 1011)
        self.assertIn('cannot connect', self.log.output)

    def test_the_proxy_stops(self):
        browser = self.greeted()
        stopping = clock.spawn('stop', self.proxy.stop)
        self.assert_ended(browser, 1001)
        stopping.join(20)
        self.assertFalse(stopping.is_alive())
        self.assertRaises(OSError, self.connect_browser)

    def test_slow_browser_does_not_block_others(self):
        """A silent peer blocks neither the delete nor the stop."""
        silent = socket.create_connection(self.place)
        self.addCleanup(silent.close)
        path = self.url().partition('path=')[2].replace('%3F', '?')
        path = path.replace('%3D', '=')
        silent.sendall(
            f'GET /{path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n'
            'Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n'
            'Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n'.encode()
        )
        self.cloud.wait_for(lambda: self.screen.connections)
        (met,) = self.screen.connections
        with contextlib.suppress(OSError):
            met.settimeout(1)
            while True:
                met.sendall(b'x' * 65536)
        began = clock.monotonic()
        self.proxy.stop()
        self.assertLess(clock.monotonic() - began, 10)


class SlowClientsTest(ProxyTestCase):
    """Connections without a request cost neither threads nor others."""

    def hold(self, count):
        """Open connections with half a request each."""
        for _ in range(count):
            slow = socket.create_connection(self.place, 30)
            self.addCleanup(slow.close)
            slow.sendall(b'GET /vnc_auto.html HTTP/1.1\r\nHost: x')

    def test_half_requests(self):
        before = threading.active_count()
        self.hold(400)
        self.greeted()
        # Those of the console and of the bus, and not two for each connection.
        self.assertLess(threading.active_count(), before + 100)

    def test_open_console_is_not_counted(self):
        browser = self.greeted()
        self.hold(400)
        browser.send(b'still there')
        self.assertEqual(b'still there', browser.recv(timeout=10))

    def test_deadline(self):
        self.patch(acceptor, 'OPENING_TIMEOUT', 0.1)
        with socket.create_connection(self.place, 30) as slow:
            slow.sendall(b'GET /vnc_auto.html HTTP/1.1\r\n')
            with contextlib.suppress(ConnectionResetError):
                self.assertEqual(b'', slow.recv(1))

    def test_error_of_the_listening_socket(self):
        """At EMFILE the loop ended without a word."""
        self.proxy.stop()
        self.bound = FailingListener(http_server.listen('127.0.0.1', 0))
        self.place = self.bound.getsockname()
        self.proxy = ConsoleProxy(self.bound, self.cloud.conductor)
        self.addCleanup(self.proxy.stop)
        self.config('vnc', novncproxy_base_url=f'{self.origin}/vnc_auto.html')
        self.proxy.start()
        self.greeted()
        self.assertIn('Loop novncproxy failed', self.log.output)


class FailingListener(socket.socket):
    """A listening socket without a free file descriptor for a while."""

    def __init__(self, other):
        super().__init__(fileno=other.detach())
        self.failures = 3

    def accept(self):
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, 'Too many open files')
        return super().accept()


class PagesTestCase(ProxyTestCase):
    """The files of clients."""

    def get(self, path):
        """Return status, headers and content of a page."""
        try:
            with urllib.request.urlopen(f'{self.origin}{path}') as reply:
                return reply.status, reply.headers, reply.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def put(self, name, content=b'content'):
        path = os.path.join(self.web, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as file:
            file.write(content)


class PagesTest(PagesTestCase):
    """The files of the noVNC client."""

    def test_not_installed(self):
        status, _, content = self.get('/vnc_auto.html?path=x')
        self.assertEqual(404, status)
        self.assertIn(b'apt-get install novnc', content)
        self.assertIn(self.web.encode(), content)
        # The consoles work all the same.
        self.greeted()

    def test_files(self):
        self.put('vnc.html', b'<html>')
        self.put('core/rfb.js', b'import')
        os.symlink('vnc.html', os.path.join(self.web, 'vnc_auto.html'))
        for path, kind, expected in (
            ('/vnc.html', 'text/html; charset=utf-8', b'<html>'),
            ('/vnc_auto.html?path=x', 'text/html; charset=utf-8', b'<html>'),
            ('/core/rfb.js', 'text/javascript; charset=utf-8', b'import'),
        ):
            status, headers, content = self.get(path)
            self.assertEqual((200, expected), (status, content), path)
            self.assertEqual(kind, headers['Content-Type'])
            self.assertEqual('no-referrer', headers['Referrer-Policy'])

    def test_other_paths_are_404(self):
        self.put('vnc.html')
        self.put('../secret')
        self.put('.hidden')
        for path in (
            '/',
            '/core',
            '/other.html',
            '/../secret',
            '/%2e%2e/secret',
            '/..%2fsecret',
            '/.hidden',
            '/%00',
            '//etc/passwd',
            '/%2fetc/passwd',
        ):
            status, _, content = self.get(path)
            self.assertEqual(404, status, path)
            self.assertNotIn(b'content', content)
            self.assertNotIn(b'root', content)

    def test_methods(self):
        self.put('vnc.html')
        for method, status, content in (
            ('GET', b'200', b'content'),
            ('HEAD', b'200', b''),
            ('POST', b'405', b'The proxy supports GET and HEAD only.\n'),
        ):
            with socket.create_connection(self.place) as sent:
                text = f'{method} /vnc.html HTTP/1.1\r\nHost: x\r\n\r\n'
                sent.sendall(text.encode())
                reply = sent.makefile('rb').read()
            self.assertEqual(status, reply.split()[1])
            self.assertTrue(reply.endswith(b'\r\n\r\n' + content), reply)
