# SPDX-License-Identifier: Apache-2.0
"""The console proxy between browsers and the SPICE servers of guests."""

import os

from tests.functional.test_vnc_proxy import PagesTestCase
from tests.functional.test_vnc_proxy import ProxyTestCase


class SpiceTestCase(ProxyTestCase):
    """A server with a SPICE console beside VNC, and a proxy."""

    wanted = {'remote_console': {'protocol': 'spice', 'type': 'spice-html5'}}
    direct = {'remote_console': {'protocol': 'spice', 'type': 'spice-direct'}}

    def setUp(self):
        super().setUp()
        # VNC at another address, where no server listens.
        self.cloud.world.set_graphics_endpoint('vnc', '127.0.0.1', 9)
        self.cloud.world.set_graphics_endpoint('spice', *self.screen.address)
        self.config(
            'spice',
            html5proxy_base_url=f'{self.origin}/spice/spice_auto.html',
            web=os.path.join(self.directory, 'spice-html5'),
        )


class SpiceProxyTest(SpiceTestCase):
    """A client with a token reaches the SPICE server."""

    def test_bytes_go_both_ways(self):
        url = self.url()
        self.assertTrue(
            url.startswith(f'{self.origin}/spice/spice_auto.html?path='), url
        )
        # A client has a connection for each of its channels.
        self.greeted(url, origin=self.origin)
        self.assert_relays(self.greeted(url, origin=self.origin))

    def test_page_at_another_site(self):
        dashboard = 'https://spice.example.org'
        url = self.url()
        self.assert_refused(403, 'origin', url, origin=dashboard)
        self.config('spice', html5proxy_base_url=f'{dashboard}/auto.html')
        self.greeted(url, origin=dashboard)

    def test_tokens(self):
        url = self.url()
        self.assert_refused(403, 'The token is not valid', url + 'x')
        self.assertEqual([], self.screen.connections)

    def test_token_of_native_client_opens_no_websocket(self):
        path = f'/servers/{self.uuid}/remote-consoles'
        reply = self.user.at_version('2.99').post(path, self.direct)
        self.assertEqual(200, reply.status, reply.body)
        self.assert_refused(
            400,
            'Unavailable console type spice-direct.',
            reply.body['remote_console']['url'].replace(
                'http://127.0.0.1:13002', self.origin
            ),
        )
        self.assertEqual([], self.screen.connections)

    def test_the_server_is_deleted(self):
        url = self.url()
        browser = self.greeted(url)
        self.user.act(self.uuid, 'forceDelete')
        self.assert_ended(browser, 1008)
        self.cloud.settle(self.uuid)
        self.assert_refused(403, 'its instance was deleted', url)

    def test_a_server_that_was_stopped(self):
        url = self.url()
        self.user.act(self.uuid, 'os-stop')
        self.cloud.settle(self.uuid)
        self.assert_refused(409, 'does not run', url)

    def test_hard_reboot_keeps_the_token(self):
        url = self.url()
        self.user.act(self.uuid, 'reboot', {'type': 'HARD'})
        self.cloud.settle(self.uuid)
        self.greeted(url)

    def test_host_requires_tls_since(self):
        url = self.url()
        self.cloud.world.set_graphics_endpoint(
            'spice', '127.0.0.1', None, tls_port=self.screen.address[1]
        )
        self.assert_refused(400, 'Unavailable console type', url)


class SpicePagesTest(SpiceTestCase, PagesTestCase):
    """The files of spice-html5 are beside those of noVNC."""

    def test_not_installed(self):
        status, _, content = self.get('/spice/spice_auto.html?path=x')
        self.assertEqual(404, status)
        self.assertIn(b'apt-get install spice-html5', content)
        self.assertIn(b'[spice] web', content)

    def test_files(self):
        self.put('vnc_auto.html', b'<novnc>')
        self.put('../spice-html5/spice_auto.html', b'<spice>')
        self.put('../spice-html5/main.js', b'import')
        for path, kind, expected in (
            ('/vnc_auto.html', 'text/html; charset=utf-8', b'<novnc>'),
            ('/spice/spice_auto.html', 'text/html; charset=utf-8', b'<spice>'),
            ('/spice/main.js', 'text/javascript; charset=utf-8', b'import'),
        ):
            status, headers, content = self.get(path)
            self.assertEqual((200, expected), (status, content), path)
            self.assertEqual(kind, headers['Content-Type'])
            self.assertEqual('no-referrer', headers['Referrer-Policy'])

    def test_other_paths_are_404(self):
        self.put('../spice-html5/spice_auto.html')
        self.put('../secret')
        for path in (
            '/spice',
            '/spice/',
            '/spice_auto.html',
            '/spice/vnc_auto.html',
            '/spice/../secret',
            '/spice/%2e%2e/secret',
            '/spice/..%2fsecret',
            '/spice//etc/passwd',
        ):
            status, _, content = self.get(path)
            self.assertEqual(404, status, path)
            self.assertNotIn(b'content', content)
