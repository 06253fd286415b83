# SPDX-License-Identifier: Apache-2.0
"""VNC consoles through a minova-novncproxy process."""

import os
import signal

from websockets import exceptions

from tests.fixtures import servers
from tests.fixtures.servers import process
from tests.fixtures.vnc import GREETING
from tests.fixtures.vnc import open_websocket
from tests.fixtures.vnc import VncServer
from tests.integration import test_cluster

VNC = {'remote_console': {'protocol': 'vnc', 'type': 'novnc'}}


class VncProxyTest(test_cluster.ClusterTestCase):
    """API, conductor, compute and proxy processes."""

    options = {'vnc': {'novncproxy_port': 0, 'watch_interval': 0.2}}

    def setUp(self):
        super().setUp()
        self.start(conductors=1, computes=1)
        self.proxy = self.cluster.start('novncproxy', 'proxy')
        self.screen = self.useFixture(VncServer())
        self.world.set_graphics_endpoint('vnc', *self.screen.address)
        self.uuid = self.user.boot()

    def make_database(self):
        # One database is enough; other tests cover the others.
        database = servers.shared(servers.PostgreSQL)
        self.addCleanup(database.drop, self.name())
        return database.url(self.name())

    def url(self):
        path = f'/servers/{self.uuid}/remote-consoles'
        return self.user.request('POST', path, VNC)['remote_console']['url']

    def connect_browser(self, url):
        host, _, port = (
            self.proxy.newest_url().rpartition('/')[2].partition(':')
        )
        made = open_websocket(url, (host, int(port)), open_timeout=30)
        self.addCleanup(made.close)
        return made

    def greeted(self, url):
        browser = self.connect_browser(url)
        self.assertEqual(GREETING, browser.recv(timeout=10))
        return browser

    def test_vnc_session(self):
        url = self.url()
        browser = self.greeted(url)
        browser.send(b'hello')
        self.assertEqual(b'hello', browser.recv(timeout=10))
        error = self.assertRaises(
            exceptions.InvalidStatus, self.connect_browser, url + 'x'
        )
        self.assertEqual(403, error.response.status_code)
        self._worker_dies(url)
        self._server_is_deleted(url)
        self.assertEqual(0, self.proxy.terminate())
        self.assertNotIn('Traceback', self.proxy.log_text())
        self.assertNotIn(url.rpartition('%3D')[2], self.proxy.log_text())

    def _worker_dies(self, url):
        """A second proxy shows the console as soon as it runs."""
        _, worker = process.tree(self.proxy.pid)[:2]
        os.kill(worker, signal.SIGKILL)
        self.proxy.wait_for('is ready', 2)
        self.greeted(url)

    def _server_is_deleted(self, url):
        """The delete of a server ends its console sessions."""
        browser = self.greeted(url)
        self.user.act(self.uuid, 'forceDelete')
        error = self.assertRaises(
            exceptions.ConnectionClosed, browser.recv, timeout=10
        )
        self.assertEqual(1008, error.rcvd.code)
